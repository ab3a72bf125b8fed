"""`backend=vllm` as users type it; keys that the twin has too bear the same names and mean the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from framework.errors import ConfigError
from framework_serving.engine_knobs import EngineKnobs, ReplicaKnobs


@dataclass
class EngineSettings(EngineKnobs):
    """The engine itself: which program, which model, which of its flags. Shared by `vllm` and `vllm_offline`.

    Attributes:
        python: interpreter that has vLLM; null: `FRAMEWORK_VLLM_PYTHON`, `.venv-vllm/bin/python`, our own.
        command: words before the interpreter (`[docker, run, …]`, `[apptainer, exec, --nv, image.sif]`).
        env: environment variables of the engine; they win over what is set for it by default.
        model_path: folder or Hugging Face name of the model; null: `model.path`, `model.id`, `model.hf_id`.
        cpu_kv_gib: memory for the KV caches of all replicas together where the engine runs on a CPU.
        engine_args: any other flag of vLLM, with underscores or dashes, without the leading dashes.
        adapter_paths: folders of LoRA adapters, by adapter id; null: random ones are made (docs/vllm.md).
        start_timeout_s: time an engine may take to get ready.
        stop_grace_s: time it has to end by itself before it is killed.
    """

    python: str | None = None
    command: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    model_path: str | None = None
    cpu_kv_gib: float = 1.0
    engine_args: dict[str, Any] = field(default_factory=dict)
    adapter_paths: list[str] | None = None
    start_timeout_s: float = 1200.0
    stop_grace_s: float = 15.0

    def check(self) -> None:
        """Raise `ConfigError`, one line that names the key, for a value that no engine accepts."""
        super().check()
        self.check_positive("cpu_kv_gib", "start_timeout_s", "stop_grace_s")
        if self.expert_parallel not in (1, self.expert_shards):
            raise ConfigError(
                f"backend.expert_parallel: {self.expert_parallel}, but vLLM distributes experts over all GPUs of"
                f" tensor_parallel and data_parallel ({self.expert_shards}), or cuts each of them (1)"
            )
        for key in self.engine_args:
            knob = _KNOB_OF_FLAG.get(key.lstrip("-").replace("-", "_"))
            if knob is not None:
                raise ConfigError(f"backend.engine_args.{key}: is set by backend.{knob}; use that key")


@dataclass
class VllmSettings(EngineSettings, ReplicaKnobs):
    """`backend=vllm`: servers on this machine, or running ones (`urls`), under the load of a client.

    Attributes:
        urls: running servers to attach to, one a replica; nothing is started then.
        api_key_variable: environment variable that holds their bearer token; the token itself is never stored.
        served_model_name: name of the model there; null: the first that they list.
        port: port of the first replica, the next ones follow; null: free ones.
        lora_loading: `static` (named on the command line) or `runtime` (through the load endpoint).
        concurrency: null: as many requests are open as the workload says; n: at most n (closed loop). The workload's
            own key, `workload.arrivals.concurrency`, is understood by the twin too.
        warmup_requests: sent before the clock starts, and left out.
        client_processes: null: as many as the load needs.
        request_timeout_s: from sending to the last token.
        retries: new attempts after a refused connection, 429 or 503.
        saturation_stop: end the run early once the load is clearly more than the servers can take.
        max_failed_share: the run fails when more of its requests did.
        idle_s: pause with the engines ready and nothing to do, for collectors that measure idle power.
        keep_engine: within a sweep, points that differ only in the load use one running engine, whose prefix cache is
            emptied in between; false: each point starts its own. An engine with adapters is never kept.
        extra_body: further keys of each request's body.
        vocabulary: [first, last] token id of prompts; null: from the model's vocabulary.
    """

    _target_: str = "framework_vllm.backend.VllmBackend"
    name: str = "vllm"
    urls: list[str] = field(default_factory=list)
    api_key_variable: str | None = None
    served_model_name: str | None = None
    port: int | None = None
    lora_loading: str = "static"
    concurrency: int | None = None
    warmup_requests: int = 8
    client_processes: int | None = None
    request_timeout_s: float = 3600.0
    retries: int = 3
    saturation_stop: bool = False
    max_failed_share: float = 0.05
    idle_s: float = 0.0
    keep_engine: bool = True
    extra_body: dict[str, Any] = field(default_factory=dict)
    vocabulary: list[int] | None = None

    def check(self) -> None:
        """Raise `ConfigError`, one line that names the key, for a value that can't be."""
        super().check()
        self.check_counts("concurrency", "client_processes", optional=True)
        self.check_positive("request_timeout_s")
        self.check_word("lora_loading", ("static", "runtime"))
        for key in ("warmup_requests", "retries", "idle_s"):
            value = getattr(self, key)
            if value < 0:
                raise ConfigError(f"backend.{key}: {value} is below 0")
        if not 0.0 <= self.max_failed_share <= 1.0:
            raise ConfigError(f"backend.max_failed_share: {self.max_failed_share} is not from 0 to 1")
        if self.port is not None and not 0 < self.port <= 65536 - self.replicas:
            raise ConfigError(f"backend.port: {self.port} is not a valid port for {self.replicas} replicas")
        if self.vocabulary is not None and not (
            len(self.vocabulary) == 2 and 0 <= self.vocabulary[0] < self.vocabulary[1]
        ):
            raise ConfigError(f"backend.vocabulary: {self.vocabulary} is not [first, last] token id")
        for url in self.urls:
            if not url.startswith(("http://", "https://")):
                raise ConfigError(f"backend.urls: '{url}' does not start with http:// or https://")

    @property
    def attached(self) -> bool:
        """Whether running servers are used."""
        return bool(self.urls)


_KNOB_OF_FLAG = {
    "max_num_seqs": "max_num_seqs",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "enable_chunked_prefill": "chunked_prefill",
    "no_enable_chunked_prefill": "chunked_prefill",
    "max_model_len": "max_model_len",
    "gpu_memory_utilization": "gpu_memory_utilization",
    "num_gpu_blocks_override": "kv_blocks",
    "enable_prefix_caching": "enable_prefix_caching",
    "no_enable_prefix_caching": "enable_prefix_caching",
    "enforce_eager": "enforce_eager",
    "tensor_parallel_size": "tensor_parallel",
    "pipeline_parallel_size": "pipeline_parallel",
    "data_parallel_size": "data_parallel",
    "enable_expert_parallel": "expert_parallel",
    "no_enable_expert_parallel": "expert_parallel",
    "max_loras": "max_loras",
    "max_cpu_loras": "max_cpu_loras",
    "max_lora_rank": "max_lora_rank",
    "model": "model_path",
    "port": "port",
    "host": "urls",
    "lora_modules": "adapter_paths",
    "served_model_name": "served_model_name",
}
"""Flags that have a key of their own; `engine_args` must not set them behind its back."""
