"""Models and GPUs as data."""
