"""Collectors that measure the machine: NVML, energy, Nsight, host."""
