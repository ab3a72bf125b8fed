"""The benchmarks: their input, their parameters, and the check of their output."""
