"""The kernel as machine code: compiled once a machine, loaded without Numba."""
