"""Fitting profiles to measured runs, and checking them."""
