"""What a running engine says of itself before the load: version, models, resolved configuration, KV cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from framework.contracts import Json
from framework_vllm.engine_metrics.exposition import parse
from framework_vllm.server.http_get import NoAnswerError, get, get_json

DEVELOPER_MODE = {"VLLM_SERVER_DEV_MODE": "1"}
"""Environment in which an engine reports its resolved configuration; engines listen on loopback only."""

_TIMEOUT_S = 10.0
_CONFIG_TIMEOUT_S = 60.0  # it also describes its whole machine, which takes seconds
_SECTIONS = ("model", "cache", "scheduler", "parallel", "lora", "load", "compilation", "device")
_CACHE_FAMILIES = ("vllm:cache_config", "vllm:cache_config_info")


@dataclass(frozen=True)
class EngineFacts:
    """Facts of one engine; None, or empty, where the engine does not report them.

    Attributes:
        version: of the engine.
        models: names that it serves, adapters among them, the first the base model.
        max_model_len: longest request, tokens.
        cache_config: its KV cache as resolved at the start, as text values.
        resolved: its whole configuration as resolved at the start: section to scalar values.
        missing: why a fact is missing, by what was asked.
    """

    version: str | None = None
    models: tuple[str, ...] = ()
    max_model_len: int | None = None
    cache_config: Mapping[str, str] = field(default_factory=dict)
    resolved: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def kv_blocks(self) -> int | None:
        """Blocks of the KV cache."""
        return _whole(self.cache_config.get("num_gpu_blocks"))

    @property
    def kv_block_tokens(self) -> int | None:
        """Tokens in one block."""
        return _whole(self.cache_config.get("block_size"))


def reported_version(
    url: str, headers: Mapping[str, str] | None = None, missing: dict[str, str] | None = None
) -> str | None:
    """Return the version that an engine reports; None, and in `missing` the reason, where it reports none."""
    try:
        return str(get_json(url, "/version", _TIMEOUT_S, headers)["version"])
    except (NoAnswerError, KeyError, TypeError) as error:
        if missing is not None:
            missing["version"] = str(error)
        return None


def read_facts(url: str, headers: Mapping[str, str] | None = None, *, resolved: bool = False) -> EngineFacts:
    """Ask an engine. What it does not answer is missing, with the reason.

    Args:
        resolved: ask for the whole configuration too; only engines in `DEVELOPER_MODE` report it.

    Raises `NoAnswerError` only if it does not even list its models.
    """
    missing: dict[str, str] = {}
    listed = get_json(url, "/v1/models", _TIMEOUT_S, headers)
    entries = listed.get("data", []) if isinstance(listed, Mapping) else []
    version = reported_version(url, headers, missing)
    cache: Mapping[str, str] = {}
    try:
        info = parse(
            get(url, "/metrics", _TIMEOUT_S, headers).decode(errors="replace"), histograms=False
        ).info
        cache = next((info[name] for name in _CACHE_FAMILIES if name in info), {})
        if not cache:
            missing["kv_blocks"] = "/metrics: no vllm:cache_config_info"
    except (NoAnswerError, ValueError) as error:
        missing["kv_blocks"] = str(error)
    config: Mapping[str, Mapping[str, Json]] = {}
    if resolved:
        try:
            config = _scalars(
                get_json(url, "/server_info?config_format=json", _CONFIG_TIMEOUT_S, headers)["vllm_config"]
            )
        except (NoAnswerError, KeyError, TypeError, AttributeError) as error:
            missing["engine_config"] = str(error)
    lengths = [entry.get("max_model_len") for entry in entries if entry.get("max_model_len")]
    return EngineFacts(
        version,
        tuple(str(entry.get("id")) for entry in entries),
        int(lengths[0]) if lengths else None,
        cache,
        config,
        missing,
    )


def _scalars(config: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    """Return the values of the sections that make a difference to performance; nested ones are left out."""
    found = {}
    for section in _SECTIONS:
        values = config.get(f"{section}_config")
        if isinstance(values, Mapping):
            found[section] = {
                name: value
                for name, value in values.items()
                if isinstance(value, int | float | str | bool) and not name.startswith("_")
            }
    return found


def _engine_settings(resolved: Mapping[str, Mapping[str, Json]]) -> dict[str, Json]:
    """Return the settings in force, under the names that the twin's fact `engine` has too."""
    found = {name: resolved.get(section, {}).get(key) for name, (section, key) in _TWIN_NAMES.items()}
    return {name: value for name, value in found.items() if value is not None}


_TWIN_NAMES = {
    "kv_blocks": ("cache", "num_gpu_blocks"),
    "block_size": ("cache", "block_size"),
    "enable_prefix_caching": ("cache", "enable_prefix_caching"),
    "max_num_seqs": ("scheduler", "max_num_seqs"),
    "max_num_batched_tokens": ("scheduler", "max_num_batched_tokens"),
    "chunked_prefill": ("scheduler", "enable_chunked_prefill"),
    "max_model_len": ("model", "max_model_len"),
    "max_loras": ("lora", "max_loras"),
    "max_cpu_loras": ("lora", "max_cpu_loras"),
    "max_lora_rank": ("lora", "max_lora_rank"),
}


def plain_facts(facts: EngineFacts) -> dict[str, Json]:
    """Return the facts as JSON values under the names of the store; what is missing is left out, with its reason."""
    found: dict[str, Json] = {
        "engine_version": facts.version,
        "max_model_len": facts.max_model_len,
        "kv_blocks": facts.kv_blocks,
        "kv_block_tokens": facts.kv_block_tokens,
    }
    found = {name: value for name, value in found.items() if value is not None}
    if facts.cache_config:
        found["cache_config"] = dict(facts.cache_config)
    if facts.resolved:
        found["engine"] = _engine_settings(facts.resolved)
        found["engine_config"] = {section: dict(values) for section, values in facts.resolved.items()}
    if facts.missing:
        found["facts_missing"] = dict(facts.missing)
    return found


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
