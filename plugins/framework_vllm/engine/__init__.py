"""The engine's interpreter, version, command line and environment."""
