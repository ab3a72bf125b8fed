"""The twin's simulation kernel: an event-driven, compiled model of vLLM's scheduler and KV cache.

`simulate.simulate` runs one configuration, `batch.run_batch` thousands; docs/twin_kernel.md states what they promise.
"""
