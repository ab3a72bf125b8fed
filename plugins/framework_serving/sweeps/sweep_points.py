"""Finished serving runs as points of a sweep, read from the store with SQL.

Runs that differ only in their seed are repeats of one point. A *curve* is a set of points that differ only in
`backend.max_num_seqs`: what the batching advisor looks at and what reports draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from framework.quantity import Quantity
from framework.run.rebuild import chosen_options, stored_config, stored_value
from framework_serving.hardware.catalogue import shape_of_group
from framework_serving.hardware.model_shape import ModelShape

if TYPE_CHECKING:
    from framework.contracts import Json, StoreReader

BATCH = "backend.max_num_seqs"
PLAIN = "one replica"
_REPETITION = frozenset({"workload.seed", "repeat", "seed"})
_GROUPS = ("backend.", "model.", "gpu.", "workload.")


@dataclass(frozen=True)
class SweepPoint:
    """One configuration and the metrics of it, repeats averaged.

    Attributes:
        run_ids: its runs.
        params: its configuration under `backend`, `model`, `gpu` and `workload`, as the store's text.
        varied: names of the parameters that its sweep varied (`model`, `backend.replicas` …).
        metrics: by name; a metric that no run could measure is missing.
        sanity: worst verdict of its runs.
        options: group → the option that it chose, as a command line names it; empty for an imported run.
    """

    run_ids: tuple[str, ...]
    params: Mapping[str, str]
    varied: frozenset[str]
    metrics: Mapping[str, Quantity]
    sanity: str
    options: Mapping[str, str] = field(default_factory=dict)

    def value(self, metric: str) -> float | None:
        """Return a metric's value, None if it is absent."""
        found = self.metrics.get(metric)
        return None if found is None else found.value

    def number(self, param: str, default: float | None = None) -> float | None:
        """Return a parameter as a number, `default` if it is unset."""
        value = stored_value(self.params.get(param))
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default

    def flag(self, param: str) -> bool:
        """Return a parameter as true or false; unset is false."""
        return stored_value(self.params.get(param)) is True

    @property
    def shape(self) -> ModelShape | None:
        """Shape of its model; None if a dimension is not stored."""
        return shape_of_group(stored_config(self.params).get("model", {}))

    @property
    def max_num_seqs(self) -> int:
        """Configured batch ceiling of each replica."""
        return int(self.number(BATCH) or 0)

    @property
    def replicas(self) -> int:
        """Engines that share the GPU."""
        return int(self.number("backend.replicas", 1.0) or 1)

    @property
    def chunked_prefill(self) -> bool:
        """Whether prompts are computed in chunks, in the same steps as decodes; V1 engines always do."""
        return self.flag("backend.chunked_prefill") or self.params.get("backend.engine") == "v1"

    @property
    def mps(self) -> bool:
        """Whether replicas share the GPU by MPS; without replicas it does not matter."""
        return self.replicas > 1 and self.flag("backend.mps")

    @property
    def model(self) -> str:
        """Model name, "" if unnamed."""
        return self.params.get("model.name", "")

    @property
    def gpu(self) -> str:
        """GPU name, "" if unnamed."""
        return self.params.get("gpu.name", "")

    @property
    def workload(self) -> str:
        """Workload name, "" if unnamed."""
        return self.params.get("workload.name", "")

    def scaled(self, columns: Sequence[tuple[str, str, float]]) -> list[float | None]:
        """Return metrics as the cells of a table: (heading, metric, factor) each; None where one is absent."""
        found = [(self.value(name), factor) for _, name, factor in columns]
        return [None if value is None else value * factor for value, factor in found]

    @property
    def tokens(self) -> tuple[float | None, float | None]:
        """Configured input and output tokens of a request."""
        return self.number("workload.lengths.input_tokens"), self.number("workload.lengths.output_tokens")

    @property
    def preempted(self) -> bool:
        """Whether a request was pushed out of the KV cache."""
        return (self.value("preemptions") or 0) > 0


def lockstep_points(points: Sequence[SweepPoint], model: str, batch: int) -> list[SweepPoint]:
    """Return the points of a model whose prompts, `batch` of them, all fit into the batch at once."""
    return [
        point
        for point in points
        if point.model == model and point.number("workload.num_requests") == batch == point.max_num_seqs
    ]


@dataclass(frozen=True)
class Curve:
    """Points that differ only in the batch ceiling, in its order; `unordered` ones have only a model in common."""

    points: tuple[SweepPoint, ...]
    unordered: bool = False

    @property
    def first(self) -> SweepPoint:
        """A point to read the common configuration from."""
        return self.points[0]

    def at(self, max_num_seqs: int) -> SweepPoint | None:
        """Return the point with this ceiling, if there is one."""
        return next((point for point in self.points if point.max_num_seqs == max_num_seqs), None)


def load_points(store: StoreReader, run_ids: Sequence[str]) -> list[SweepPoint]:
    """Return the points behind these runs; runs that failed, or are not serving runs, are left out."""
    runs = {
        row["run_id"]: row["sanity"] or "pass"
        for row in store.query(
            "SELECT run_id, sanity FROM runs WHERE status = 'done' AND run_id IN (SELECT unnest(?)) "
            "AND run_id IN (SELECT run_id FROM metrics WHERE name = 'total_tok_s') ORDER BY run_id",
            [list(run_ids)],
        ).to_pylist()
    }
    if not runs:
        return []
    params: dict[str, dict[str, str]] = {run_id: {} for run_id in runs}
    for row in _rows(store, "SELECT run_id, name, value FROM params", runs):
        if row["name"].startswith(_GROUPS) and row["value"] not in (None, "null"):
            params[row["run_id"]][row["name"]] = row["value"]
    metrics: dict[str, dict[str, Quantity]] = {run_id: {} for run_id in runs}
    for row in _rows(store, "SELECT run_id, name, value, low, high FROM metrics", runs):
        if row["value"] is not None:
            metrics[row["run_id"]][row["name"]] = Quantity(row["value"], row["low"], row["high"])
    varied: dict[str, set[str]] = {run_id: set() for run_id in runs}
    for row in _rows(store, "SELECT run_id, name FROM varied", runs):
        varied[row["run_id"]].add(row["name"])
    repeats: dict[frozenset[tuple[str, str]], list[str]] = {}
    for run_id, config in params.items():
        key = frozenset(item for item in config.items() if item[0] not in _REPETITION)
        repeats.setdefault(key, []).append(run_id)
    options = chosen_options(store, list(runs))
    return [_point(ids, params, varied, metrics, runs, options) for ids in repeats.values()]


def curves(points: Sequence[SweepPoint]) -> list[Curve]:
    """Return the points grouped by everything but the batch ceiling, in order of model, workload and variant."""
    groups: dict[frozenset[tuple[str, str]], list[SweepPoint]] = {}
    for point in points:
        if point.max_num_seqs:
            key = frozenset(
                item for item in point.params.items() if item[0] != BATCH and item[0] not in _REPETITION
            )
            groups.setdefault(key, []).append(point)
    found = [Curve(tuple(sorted(group, key=lambda point: point.max_num_seqs))) for group in groups.values()]
    return sorted(found, key=lambda curve: _order(curve.first))


def _order(point: SweepPoint) -> tuple[str, float, str, int, bool, bool]:
    size = point.number("model.n_params", 0.0) or 0.0
    return (point.gpu, size, point.workload, point.replicas, point.chunked_prefill, point.mps)


def comparable_groups(points: Sequence[SweepPoint]) -> list[list[SweepPoint]]:
    """Return points that serve the same model and workload on the same GPU, in any configuration."""
    groups: dict[tuple[tuple[str, str], ...], list[SweepPoint]] = {}
    for point in points:
        if point.max_num_seqs and point.sanity != "fail" and point.value("total_tok_s"):
            key = sorted(item for item in point.params.items() if not item[0].startswith("backend."))
            named = tuple(item for item in key if item[0] != "workload.seed")
            groups.setdefault((*named, ("backend", point.params.get("backend.name", ""))), []).append(point)
    return list(groups.values())


def context(point: SweepPoint) -> dict[str, Json]:
    """Return the overrides that lead to a point's sweep: its model, and what else its sweep varied.

    The batch ceiling is left to the advice itself.
    """
    found: dict[str, Json] = {}
    for name in sorted({"model", *point.varied} - {BATCH}):
        named = point.params.get(f"{name}.name", "")
        text = (
            point.options.get(name)
            or point.params.get(name)
            or (named.lower() if name in ("model", "gpu") else named)
        )
        if text:
            found[name] = text
    return found


def variant(point: SweepPoint, with_workload: bool = False) -> str:
    """Return what distinguishes a curve: its workload if asked for, chunked prefill, replicas."""
    parts = [point.workload] if with_workload else []
    if point.chunked_prefill:
        parts.append("chunked prefill")
    if point.replicas > 1:
        parts.append(f"{point.replicas} replicas {'with' if point.mps else 'without'} MPS")
    return ", ".join(parts) or PLAIN


def _rows(store: StoreReader, select: str, runs: Mapping[str, str]) -> list[dict[str, Any]]:
    table = store.query(f"{select} WHERE run_id IN (SELECT unnest(?))", [list(runs)])
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _point(
    ids: list[str],
    params: Mapping[str, dict[str, str]],
    varied: Mapping[str, set[str]],
    metrics: Mapping[str, Mapping[str, Quantity]],
    sanity: Mapping[str, str],
    options: Mapping[str, Mapping[str, str]],
) -> SweepPoint:
    names = {name for run_id in ids for name in metrics[run_id]}
    averaged = {
        name: _average([metrics[run_id][name] for run_id in ids if name in metrics[run_id]]) for name in names
    }
    verdicts = {sanity[run_id] for run_id in ids}
    worst = next(verdict for verdict in ("fail", "warn", "pass") if verdict in verdicts or verdict == "pass")
    first = ids[0]
    return SweepPoint(
        tuple(ids), params[first], frozenset(varied[first]), averaged, worst, options.get(first, {})
    )


def _average(repeats: Sequence[Quantity]) -> Quantity:
    """Mean over repeats; the interval spans the repeats and their own intervals."""
    if len(repeats) == 1:
        return repeats[0]
    lows = [item.value if item.low is None else item.low for item in repeats]
    highs = [item.value if item.high is None else item.high for item in repeats]
    return Quantity(fmean(item.value for item in repeats), min(lows), max(highs))
