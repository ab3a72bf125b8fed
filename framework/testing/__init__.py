"""What a plugin's tests need: a store of their own, the command line, a study to be disturbed; a plugin of pytest."""
