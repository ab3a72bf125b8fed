"""What the run costs the host: CPU, memory, and which process took them."""
