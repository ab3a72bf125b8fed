"""The backends of a camera study: what is run, measured and stored."""
