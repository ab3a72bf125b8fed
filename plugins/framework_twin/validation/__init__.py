"""The twin against tables of measured runs."""
