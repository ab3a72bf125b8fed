"""Measured runs: reading them, rebuilding their load, predicting them."""
