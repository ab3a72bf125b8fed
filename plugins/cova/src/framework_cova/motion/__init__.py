"""Which frames hold something that moves, and where."""
