"""Recorded requests: what is in a trace, and how it is written."""
