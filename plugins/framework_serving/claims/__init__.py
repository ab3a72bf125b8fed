"""What serving papers claim, computed from our runs."""
