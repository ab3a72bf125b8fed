"""Backend `vllm_offline`: the engine without a server, prefills and decodes in lock step, every step timed."""
