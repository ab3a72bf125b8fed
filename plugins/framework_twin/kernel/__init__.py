"""The twin's simulation kernel: an event-driven model of vLLM's scheduler and KV cache, compiled by Numba."""
