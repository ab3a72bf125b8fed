"""Requests and event streams as bytes, and the connections that carry them."""
