"""What the processes that carry out one sweep tell each other."""
