"""The backends, their scores, the advisor, and what the report shows."""
