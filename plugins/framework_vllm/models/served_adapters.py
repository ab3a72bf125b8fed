"""The LoRA adapters of a workload: where their files are, and how an engine learns of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from framework.configuration.resources import cache_folder
from framework.contracts import WorkloadTables
from framework.errors import ConfigError
from framework_vllm.engine.command_line import adapter_name
from framework_vllm.models.adapted_model import AdaptedModel
from framework_vllm.models.adapter_files import CONFIG, write_adapters
from framework_vllm.models.model_source import model_shape
from framework_vllm.server.http_get import NoAnswerError, post_json
from framework_vllm.server.start_failures import EngineStartError
from framework_vllm.settings import EngineSettings

_LOAD_PATH = "/v1/load_lora_adapter"
_LOAD_TIMEOUT_S = 300.0


def adapter_ranks(workload: WorkloadTables) -> dict[int, int]:
    """Return rank by adapter id; empty for a workload without adapters."""
    table = workload.tables.get("adapters")
    if table is None:
        return {}
    return dict(zip(table["adapter_id"].to_pylist(), table["rank"].to_pylist(), strict=True))


def check_adapters(settings: EngineSettings, ranks: Mapping[int, int]) -> None:
    """Raise `ConfigError` for a given adapter that is not there."""
    if settings.adapter_paths is None:
        return
    for identity in ranks:
        if identity >= len(settings.adapter_paths):
            raise ConfigError(
                f"backend.adapter_paths: names {len(settings.adapter_paths)} adapters, but the workload uses "
                f"adapter {identity}"
            )
        folder = Path(settings.adapter_paths[identity]).expanduser()
        if not (folder / CONFIG).is_file():
            raise ConfigError(f"backend.adapter_paths: adapter {identity}, '{folder}', contains no {CONFIG}")


def adapter_folders(settings: EngineSettings, model: str, ranks: Mapping[int, int]) -> dict[str, Path]:
    """Return each adapter's folder by its served name; random ones are written where none are given.

    Raises:
        ConfigError: the model's dimensions are not known, so that none can be made.
    """
    if not ranks:
        return {}
    if settings.adapter_paths is not None:
        check_adapters(settings, ranks)
        return {adapter_name(key): Path(settings.adapter_paths[key]).expanduser() for key in ranks}
    folders = write_adapters(_dimensions(settings, model), ranks, cache_folder("vllm") / "adapters")
    return {adapter_name(key): folder for key, folder in folders.items()}


def _dimensions(settings: EngineSettings, model: str) -> AdaptedModel:
    if (Path(model) / "config.json").is_file():
        return AdaptedModel.from_config(Path(model))
    shape = model_shape(settings)
    if shape is None:
        raise ConfigError(
            f"backend.adapter_paths: no adapters are given, and the dimensions of '{model}' are unknown"
        )
    return AdaptedModel.from_shape(shape)


def load_adapters(url: str, folders: Mapping[str, Path], headers: Mapping[str, str] | None = None) -> None:
    """Load adapters into a running server. Raises `EngineStartError` naming the one that it refused."""
    for name, folder in folders.items():
        try:
            content = {"lora_name": name, "lora_path": str(folder)}
            post_json(url, _LOAD_PATH, content, _LOAD_TIMEOUT_S, headers)
        except NoAnswerError as error:
            raise EngineStartError(f"{name} could not be loaded: {error}") from error
