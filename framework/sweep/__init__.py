"""Sweeps: the grid of an experiment, what of it is done, and what happens when it ends."""
