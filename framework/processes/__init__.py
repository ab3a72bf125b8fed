"""Child processes that end with us, and locks between processes."""
