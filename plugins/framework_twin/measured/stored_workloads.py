"""The workload of a run in the store, built anew from its configuration: request by request what was sent."""

from __future__ import annotations

from collections.abc import Mapping

from framework.contracts import WorkloadTables
from framework.errors import UserError
from framework_serving.advice.replica_search import workload_of


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
    if params.get("workload._target_") is None:
        return None
    try:
        tables = workload_of(params, seed)
    except (UserError, TypeError) as error:
        raise ValueError(f"workload: can't be built again: {error}") from error
    if content_hash is not None and tables.content_hash != content_hash:
        raise ValueError("workload: built again it has another content than it had in the run")
    return tables
