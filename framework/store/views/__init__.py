"""The views and macros that people query."""
