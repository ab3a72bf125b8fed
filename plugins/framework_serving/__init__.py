"""The LLM-serving domain: what every backend that serves a language model has in common.

Workloads (lengths, arrivals, traces, adapter mixes), the tables that a serving run takes and returns, the
definitions of its metrics, sanity checks, advisors, claims of papers, importers of recorded runs and report
sections. Nothing here knows which backend ran: a real engine and the digital twin return the same tables.
"""
