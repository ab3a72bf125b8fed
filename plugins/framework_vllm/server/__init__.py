"""Servers on this machine: ports, start, readiness, placement on GPUs, end."""
