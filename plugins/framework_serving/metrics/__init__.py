"""Serving metrics: definitions, derivation from the request table, sanity checks."""
