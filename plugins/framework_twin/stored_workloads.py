"""The workload of a run in the store, built anew from its configuration: request by request what was sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from framework.components import build_component
from framework.contracts import Workload, WorkloadTables
from framework.errors import UserError

_GROUP = "workload."


def rebuilt_workload(
    params: Mapping[str, str | None], seed: int, content_hash: str | None
) -> WorkloadTables | None:
    """Return the workload of a run, None for one whose configuration names no class (an import).

    Args:
        params: the run's parameters as the store's text, null values as None.
        seed: the run's seed.
        content_hash: what the run said of its workload; None is not checked.

    Raises:
        ValueError: it can't be built any more, or has another content than it had.
    """
    if f"{_GROUP}_target_" not in params:
        return None
    from omegaconf import OmegaConf

    try:
        workload = build_component(OmegaConf.create({"workload": _nested(params)}), "workload")
        if not isinstance(workload, Workload):
            raise ValueError(f"workload: {type(workload).__name__} has no build")
        tables = workload.build(seed)
    except UserError as error:
        raise ValueError(f"workload: can't be built again: {error}") from error
    if content_hash is not None and tables.content_hash != content_hash:
        raise ValueError("workload: built again it has another content than it had in the run")
    return tables


def _nested(params: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the workload's keys as the nested values that they were before the store flattened them."""
    root: dict[str, Any] = {}
    for name, text in params.items():
        if name.startswith(_GROUP):
            *path, leaf = name.removeprefix(_GROUP).split(".")
            node = root
            for part in path:
                node = node.setdefault(part, {})
            node[leaf] = _value(leaf, text)
    return root


def _value(key: str, text: str | None) -> Any:
    if text is None or key in ("name", "file", "_target_"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
