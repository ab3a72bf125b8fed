"""Verbs that answer a question over the runs of a store: what is on the front, what to choose."""
