"""A plugin of framework-lab."""
