"""An engine as the probe would describe it, without one: for tests of what is derived from it."""

from __future__ import annotations

from framework_vllm.engine.interpreter import Engine, Flag


def switch(name: str, off: bool = True) -> Flag:
    dashed = name.replace("_", "-")
    return Flag((f"--{dashed}", f"--no-{dashed}") if off else (f"--{dashed}",), False, False, None, None)


def valued(
    name: str, kind: str | None = "int", choices: tuple[str, ...] | None = None, many: bool = False
) -> Flag:
    return Flag((f"--{name.replace('_', '-')}",), True, many, choices, kind)


_FLAGS = {
    **{
        name: switch(name)
        for name in (
            "enable_chunked_prefill", "enable_prefix_caching", "enforce_eager", "enable_lora",
            "enable_expert_parallel",
            "enable_per_request_metrics", "disable_uvicorn_access_log",
        )
    },
    "disable_log_stats": switch("disable_log_stats", off=False),
    **{
        name: valued(name)
        for name in (
            "max_num_seqs", "max_num_batched_tokens", "num_gpu_blocks_override", "tensor_parallel_size",
            "pipeline_parallel_size", "data_parallel_size",
            "max_loras", "max_cpu_loras", "kv_cache_memory_bytes", "block_size",
        )
    },
    "max_model_len": valued("max_model_len", "human_readable_int"),
    "gpu_memory_utilization": valued("gpu_memory_utilization", "float"),
    "max_lora_rank": valued("max_lora_rank", choices=("1", "8", "16", "32", "64")),
    "lora_modules": valued("lora_modules", None, many=True),
    "kv_cache_dtype": valued("kv_cache_dtype", "str", choices=("auto", "bfloat16", "fp8")),
    "dtype": valued("dtype", "str", choices=("auto", "bfloat16", "float16")),
    "generation_config": valued("generation_config", "str"),
    "compilation_config": valued("compilation_config", "parse_dataclass"),
    "cudagraph_capture_sizes": valued("cudagraph_capture_sizes", many=True),
}  # fmt: skip


def engine(platform: str = "cuda", *, without: tuple[str, ...] = ()) -> Engine:
    """An engine with a few of vLLM's flags."""
    flags = {name: flag for name, flag in _FLAGS.items() if name not in without}
    return Engine(("python",), "0.32.0", "vllm", platform, flags)
