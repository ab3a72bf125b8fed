"""`backend=vllm` as users type it; keys that the twin has too bear the same names and mean the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from framework.errors import ConfigError, did_you_mean


@dataclass
class EngineSettings:
    """The engine itself: which program, which model, which of its flags. Shared by `vllm` and `vllm_offline`.

    Attributes:
        python: interpreter that has vLLM; null: `FRAMEWORK_VLLM_PYTHON`, `.venv-vllm/bin/python`, our own.
        command: words before the interpreter (`[docker, run, …]`, `[apptainer, exec, --nv, image.sif]`).
        env: environment variables of the engine; they win over what is set for it by default.
        model_path: folder or Hugging Face name of the model; null: `model.path`, `model.hf_id`.
        max_num_seqs: most requests in the running batch, per replica.
        max_num_batched_tokens: tokens a step may compute; null: the engine's default.
        chunked_prefill: null: the engine's default.
        max_model_len: longest request, tokens; null: the model's.
        gpu_memory_utilization: share of each GPU's memory for all replicas on it together.
        cpu_kv_gib: memory for the KV caches of all replicas together where the engine runs on a CPU.
        kv_blocks: KV blocks per replica, of the engine's own block size; null: what memory holds.
        tensor_parallel: GPUs that one replica's model is split over.
        max_loras, max_cpu_loras, max_lora_rank: adapter slots on the GPU, adapters in host memory, largest rank;
            null: no LoRA, or as many as the workload's adapters need.
        engine_args: any other flag of vLLM, with underscores or dashes, without the leading dashes.
        adapter_paths: folders of LoRA adapters, by adapter id; null: random ones are made (docs/vllm.md).
        start_timeout_s: time an engine may take to get ready.
        stop_grace_s: time it has to end by itself before it is killed.
    """

    python: str | None = None
    command: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    model: Any = None
    gpu: Any = None
    model_path: str | None = None
    max_num_seqs: int = 256
    max_num_batched_tokens: int | None = None
    chunked_prefill: bool | None = None
    max_model_len: int | None = None
    gpu_memory_utilization: float = 0.9
    cpu_kv_gib: float = 1.0
    kv_blocks: int | None = None
    enable_prefix_caching: bool = False
    enforce_eager: bool = False
    tensor_parallel: int = 1
    max_loras: int | None = None
    max_cpu_loras: int | None = None
    max_lora_rank: int | None = None
    engine_args: dict[str, Any] = field(default_factory=dict)
    adapter_paths: list[str] | None = None
    start_timeout_s: float = 1200.0
    stop_grace_s: float = 15.0

    def check(self) -> None:
        """Raise `ConfigError`, one line that names the key, for a value that no engine accepts."""
        for key in _COUNTS:
            value = getattr(self, key, 1)
            if value is not None or key in _REQUIRED_COUNTS:
                _at_least_one(key, value)
        if not 0.0 < self.gpu_memory_utilization <= 1.0:
            raise ConfigError(
                f"backend.gpu_memory_utilization: {self.gpu_memory_utilization} is not above 0 and at most 1"
            )
        for key in _POSITIVE:
            value = getattr(self, key, None)
            if value is not None and not value > 0:
                raise ConfigError(f"backend.{key}: {value} is not above 0")
        for key in self.engine_args:
            knob = _KNOB_OF_FLAG.get(key.lstrip("-").replace("-", "_"))
            if knob is not None:
                raise ConfigError(f"backend.engine_args.{key}: is set by backend.{knob}; use that key")


@dataclass
class VllmSettings(EngineSettings):
    """`backend=vllm`: servers on this machine, or running ones (`urls`), under the load of a client.

    Attributes:
        urls: running servers to attach to, one a replica; nothing is started then.
        api_key_variable: environment variable that holds their bearer token; the token itself is never stored.
        served_model_name: name of the model there; null: the first that they list.
        port: port of the first replica, the next ones follow; null: free ones.
        replicas: engines behind one router.
        gpus: GPUs that the replicas are spread over evenly; null: as many as one replica needs.
        mps: replicas on one GPU share it by NVIDIA MPS; false: by time slicing.
        router: `round_robin` or `least_load`.
        lora_loading: `static` (named on the command line) or `runtime` (through the load endpoint).
        concurrency: null: requests are sent at their arrival times; n: n are kept open (closed loop).
        warmup_requests: sent before the clock starts, and left out.
        client_processes: null: as many as the load needs.
        request_timeout_s: from sending to the last token.
        retries: new attempts after a refused connection, 429 or 503.
        saturation_stop: end the run early once the load is clearly more than the servers can take.
        max_failed_share: the run fails when more of its requests did.
        idle_s: pause with the engines ready and nothing to do, for collectors that measure idle power.
        extra_body: further keys of each request's body.
        vocabulary: [first, last] token id of prompts; null: from the model's vocabulary.
        sample_period_s: spacing of the engine's metrics, shorter at the beginning; null: only before and after.
    """

    _target_: str = "framework_vllm.backend.VllmBackend"
    name: str = "vllm"
    urls: list[str] = field(default_factory=list)
    api_key_variable: str | None = None
    served_model_name: str | None = None
    port: int | None = None
    replicas: int = 1
    gpus: int | None = None
    mps: bool = True
    router: str = "round_robin"
    lora_loading: str = "static"
    concurrency: int | None = None
    warmup_requests: int = 8
    client_processes: int | None = None
    request_timeout_s: float = 3600.0
    retries: int = 3
    saturation_stop: bool = False
    max_failed_share: float = 0.05
    idle_s: float = 0.0
    extra_body: dict[str, Any] = field(default_factory=dict)
    vocabulary: list[int] | None = None
    sample_period_s: float | None = 1.0

    def check(self) -> None:
        """Raise `ConfigError`, one line that names the key, for a value that can't be."""
        super().check()
        _one_of("router", self.router, ("round_robin", "least_load"))
        _one_of("lora_loading", self.lora_loading, ("static", "runtime"))
        shards = self.replicas * self.tensor_parallel
        if shards % self.gpu_count or self.gpu_count < self.tensor_parallel:
            raise ConfigError(
                f"backend.gpus: {self.replicas} replicas of {self.tensor_parallel} shards can't be spread evenly "
                f"over {self.gpu_count} GPUs"
            )
        for key in ("warmup_requests", "retries", "idle_s"):
            value = getattr(self, key)
            if value < 0:
                raise ConfigError(f"backend.{key}: {value} is below 0")
        if not 0.0 <= self.max_failed_share <= 1.0:
            raise ConfigError(f"backend.max_failed_share: {self.max_failed_share} is not from 0 to 1")
        if self.port is not None and not 0 < self.port <= 65536 - self.replicas:
            raise ConfigError(f"backend.port: {self.port} is no port for {self.replicas} replicas")
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

    @property
    def gpu_count(self) -> int:
        """GPUs of all replicas together."""
        return self.gpus or self.tensor_parallel

    @property
    def replicas_on_gpu(self) -> int:
        """Replicas that share one GPU."""
        return self.replicas * self.tensor_parallel // self.gpu_count

    @property
    def memory_share(self) -> float:
        """Share of a GPU's memory that one replica may use."""
        return self.gpu_memory_utilization / self.replicas_on_gpu


_REQUIRED_COUNTS = ("max_num_seqs", "replicas", "tensor_parallel")
_COUNTS = (
    *_REQUIRED_COUNTS,
    "gpus",
    "max_num_batched_tokens",
    "max_model_len",
    "kv_blocks",
    "max_loras",
    "max_cpu_loras",
    "max_lora_rank",
    "concurrency",
    "client_processes",
)
_POSITIVE = ("cpu_kv_gib", "start_timeout_s", "stop_grace_s", "request_timeout_s", "sample_period_s")

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


def settings_from(kind: type[Any], keys: dict[str, Any]) -> Any:
    """Return checked settings from a configuration group's keys. Raises `ConfigError` naming the key."""
    known = kind.__dataclass_fields__.keys() - {"_target_"}
    for key in keys:
        if key not in known:
            raise ConfigError(f"unknown configuration key 'backend.{key}'{did_you_mean(key, known)}")
    settings = kind(**keys)
    settings.check()
    return settings


def _at_least_one(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"backend.{key}: {value!r} is not a whole number of at least 1")


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"backend.{key}: '{value}' is not one of {', '.join(allowed)}")
