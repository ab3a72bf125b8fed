"""Filling in what the register lacks, with its uncertainty."""
