"""Serving workloads: arrivals, lengths, adapters, traces."""
