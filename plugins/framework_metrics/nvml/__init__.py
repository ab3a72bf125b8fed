"""What NVIDIA's management library tells of the GPUs of a run."""
