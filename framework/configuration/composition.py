"""Composing configurations outside of Hydra's own command line: for advisors, hints and inventories."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from omegaconf import DictConfig

from framework.configuration.components import build_component
from framework.configuration.parallel_conf import ParallelLauncherConf
from framework.configuration.resources import conf_dir
from framework.configuration.search_path import added_locations, group_files
from framework.configuration.study_config import StudyConfig
from framework.contracts import BatchBackend
from framework.errors import ConfigError
from framework.plugins import ask, discover, problem_of

_locations: list[list[str]] = []  # where the study of now looks behind the framework's own folder, once known


def register_with_hydra() -> None:
    """Give Hydra the typed schemas of all plugins, their configuration folders, and the user's."""
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    store = ConfigStore.instance()
    store.store(name="study_schema", node=StudyConfig, provider="framework")
    for plugin, schemas in ask("config_schemas", tuple):
        try:
            for group, name, node in schemas:
                store.store(group=group, name=name, node=node, provider=node.__module__)
        except Exception as error:  # not (group, name, dataclass), or none that Hydra can use
            discover().note(problem_of(plugin, "config_schemas", error))
    # Hydra keeps what is registered for the process's life, and a later study may have other folders
    _locations[:] = [added_locations()]

    class PluginSearchPath(SearchPathPlugin):
        """Adds the configuration groups of plugins and of `--config-dir` behind the framework's own."""

        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for location in _locations[-1]:
                search_path.append(provider="framework plugin", path=location)

    known = {plugin.__name__ for plugin in Plugins.instance().discover(SearchPathPlugin)}
    if PluginSearchPath.__name__ not in known:
        Plugins.instance().register(PluginSearchPath)
    # after Hydra's plugins: hydra-joblib-launcher calls its own configuration by this name
    store.store(group="hydra/launcher", name="joblib", node=ParallelLauncherConf, provider="framework")


def compose(overrides: Sequence[str]) -> DictConfig:
    """Compose `config.yaml` with overrides; raises Hydra's errors."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    with _hydra_at_hand(hydra, GlobalHydra.instance().is_initialized()):
        return hydra.compose("config", list(overrides))


def _hydra_at_hand(hydra: Any, initialized: bool) -> AbstractContextManager[Any]:
    if initialized:
        return nullcontext()
    register_with_hydra()
    manager: AbstractContextManager[Any] = hydra.initialize_config_dir(str(conf_dir()), version_base="1.3")
    return manager


def batch_backend(name: str, overrides: Sequence[str]) -> BatchBackend:
    """Compose a backend by its configuration name and return it.

    Raises:
        ConfigError: no such backend, or it offers no batch call.
    """
    if name not in group_files("backend"):
        raise ConfigError(f"unknown backend '{name}'")
    backend = build_component(compose([f"backend={name}", *overrides]), "backend")
    if not isinstance(backend, BatchBackend):
        raise ConfigError(
            f"backend '{name}' can't simulate many configurations in one call (no method run_batch)"
        )
    return backend
