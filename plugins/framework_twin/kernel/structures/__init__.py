"""Data structures of the kernel in raw memory."""
