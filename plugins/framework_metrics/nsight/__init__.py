"""Nsight: run an engine under `nsys` or `ncu`, and read what they export."""
