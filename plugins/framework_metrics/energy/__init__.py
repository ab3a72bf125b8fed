"""Joules: from counters where there are any, from power otherwise, with what is known of the error."""
