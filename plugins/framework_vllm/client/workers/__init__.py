"""The load client's processes and what they share."""
