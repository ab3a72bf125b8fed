"""Teachers: who labels the chosen frames."""
