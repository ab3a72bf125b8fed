"""The life of one run, from its configuration to its bundle."""
