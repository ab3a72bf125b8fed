"""A run's configuration and workload again, from what the store keeps of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from framework.contracts import Json, StoreReader, Workload, WorkloadTables
from framework.errors import ConfigError
from framework.store.bundles import record_json


def stored_value(text: str | None) -> Json:
    """Return a stored parameter as the value it was: JSON where it is, else text."""
    return record_json.stored_value(text)


def stored_config(params: Mapping[str, str | None]) -> dict[str, Any]:
    """Return a run's configuration, nested and with typed values, from its rows of `params` (dotted name → text)."""
    return record_json.nested(params)


def stored_settings(config: Mapping[str, Any], known: Collection[str] | None = None) -> dict[str, Any]:
    """Return all settings of a run's backend, its model and GPU among them, as a batch job takes them.

    Args:
        config: the run's configuration.
        known: settings that the simulating backend has, where the run was made by another one; None: all.
    """
    settings = {
        key: value for key, value in config.get("backend", {}).items() if key not in ("_target_", "name")
    }
    settings.update({group: config[group] for group in ("model", "gpu") if group in config})
    return {key: value for key, value in settings.items() if known is None or key in known}


def chosen_options(store: StoreReader, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the option that each run chose of each group: run id → group → what a command line calls it.

    An imported run has no entry: it was not composed.
    """
    rows = store.query(
        "SELECT run_id, name, value FROM provenance WHERE name LIKE 'options.%' AND run_id IN (SELECT unnest(?))",
        [list(run_ids)],
    ).to_pylist()
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        found[row["run_id"]][row["name"].removeprefix("options.")] = row["value"]
    return found


def rebuilt_workload(
    config: Mapping[str, Json], seed: int | None = None, content_hash: str | None = None
) -> WorkloadTables:
    """Build a run's workload again, whichever class its configuration names.

    Args:
        config: the run's configuration (`workload` is read).
        seed: the run's, where repeats moved it from the configured one.
        content_hash: what the run stated; None is not checked.

    Raises:
        ConfigError: the configuration names no class, or the workload has another content than it had.
        InputError: a file that it reads can't be read any more.
    """
    from omegaconf import OmegaConf

    from framework.configuration.components import build_component

    group = config.get("workload")
    workload = build_component(OmegaConf.create({"workload": group}), "workload")
    if not isinstance(workload, Workload):
        raise ConfigError(f"workload: {type(workload).__name__} can't build tables")
    built = workload.build(int((group or {}).get("seed") or 0) if seed is None else seed)
    if content_hash is not None and built.content_hash != content_hash:
        raise ConfigError("workload: its content after rebuilding differs from that in the run")
    return built
