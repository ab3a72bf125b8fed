"""Advisors: which batch size, how many replicas."""
