"""What NVIDIA's management library reports of the GPUs of a run."""
