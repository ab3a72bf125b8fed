"""How long customers wait in a queue with several servers: an example plugin of framework-lab."""
