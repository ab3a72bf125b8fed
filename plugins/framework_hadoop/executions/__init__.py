"""Recorded executions: reading, storing, cost, outliers."""
