"""Objectives, limits and scopes as people write them: `itl_p99_ms:lower`, `ttft_p99_ms=500`, an experiment's name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from framework.contracts import StoreReader
from framework.errors import NotInStoreError, UserError, did_you_mean

Direction = Literal["higher", "lower"]
_MODEL = "model.name"
_WORKLOAD = "workload.name"
_LIMIT = re.compile(r"^\s*([A-Za-z_][\w.]*)\s*(<=|>=|=)\s*(\S+)\s*$")


@dataclass(frozen=True)
class Objective:
    """A metric and its better direction."""

    metric: str
    better: Direction
    unit: str = ""

    @property
    def sign(self) -> float:
        """1 where more is better, else -1."""
        return 1.0 if self.better == "higher" else -1.0


@dataclass(frozen=True)
class Limit:
    """What a metric must not fall below or exceed; None: no such bound."""

    metric: str
    least: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        return f"{self.metric} ≥ {self.least:g}" if self.most is None else f"{self.metric} ≤ {self.most:g}"

    def allows(self, value: float) -> bool:
        """Return whether a value is within the limit."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True)
class KnownMetrics:
    """The metrics that the store holds: their better direction (`none` where undefined) and unit."""

    better: Mapping[str, str]
    units: Mapping[str, str]

    @classmethod
    def read(cls, store: StoreReader) -> KnownMetrics:
        """Read them from a store."""
        rows = store.query(
            "SELECT m.name, coalesce(min(d.better), 'none') AS better, coalesce(min(d.unit), min(m.unit), '') AS unit"
            " FROM (SELECT name, min(unit) AS unit FROM metrics GROUP BY name) m"
            " LEFT JOIN metric_definitions d ON d.name = m.name GROUP BY m.name"
        ).to_pylist()
        return cls({r["name"]: r["better"] for r in rows}, {r["name"]: r["unit"] for r in rows})

    def objective(self, text: str) -> Objective:
        """Return the objective that `NAME` or `NAME:higher|lower` means; raises `UserError`."""
        name, _, direction = text.partition(":")
        self._check(name)
        direction = direction or self.better[name]
        if direction == "none":
            raise UserError(f"metric '{name}' has no better direction: write {name}:higher or {name}:lower")
        if direction not in ("higher", "lower"):
            raise UserError(f"'{text}': a metric is better higher or lower, not '{direction}'")
        return Objective(name, "higher" if direction == "higher" else "lower", self.units[name])

    def limit(self, text: str) -> Limit:
        """Return the limit that `NAME=V`, `NAME<=V` or `NAME>=V` means; raises `UserError`.

        With `=`, the metric's better direction says which side is bounded.
        """
        match = _LIMIT.match(text)
        if match is None:
            raise UserError(f"'{text}' is not a limit: write NAME=VALUE, 'NAME<=VALUE' or 'NAME>=VALUE'")
        name, sign, number = match.groups()
        self._check(name)
        try:
            value = float(number)
        except ValueError:
            raise UserError(f"'{text}': '{number}' is not a number") from None
        if value != value:
            raise UserError(f"'{text}': '{number}' is not a number")
        if sign == "=":
            better = self.objective(name).better
            sign = "<=" if better == "lower" else ">="
        return Limit(name, most=value) if sign == "<=" else Limit(name, least=value)

    def _check(self, name: str) -> None:
        if name not in self.better:
            raise NotInStoreError(f"no run has a metric '{name}'{did_you_mean(name, self.better)}")


def check_names(store: StoreReader, names: Sequence[str]) -> None:
    """Raise `NotInStoreError` for a name that is no experiment, sweep or run of the store."""
    known = store.query(
        "SELECT DISTINCT unnest([experiment, sweep_id, run_id]) AS name FROM runs"
    ).to_pydict()["name"]  # fmt: skip
    for name in names:
        if name not in known:
            raise NotInStoreError(
                f"no run, sweep or experiment '{name}'{did_you_mean(name, [str(k) for k in known if k])}"
            )


def full_parameters(store: StoreReader, names: Sequence[str]) -> list[str]:
    """Return the full names of parameters given in short: `model` is `model.name`, `max_loras` `backend.max_loras`.

    Raises:
        NotInStoreError: there is no such parameter, or a short name means several.
    """
    known: list[Any] = store.query("SELECT DISTINCT name FROM params ORDER BY name").to_pydict()["name"]
    found = []
    for name in names:
        exact = [full for full in known if full in (name, f"{name}.name")]
        ends = exact or [full for full in known if full.removesuffix(".name").endswith(f".{name}")]
        if not ends:
            raise NotInStoreError(f"no run has a parameter '{name}'{did_you_mean(name, known)}")
        if len(ends) > 1 and not exact:
            raise NotInStoreError(f"'{name}' may mean {', '.join(ends)}: write one of them")
        found.append(ends[0])
    return found


# The model, and the settings of a workload that differ between runs of the same one: loads, numbers of clients.
# Seeds make repeats.
_GIVEN = f"""
WITH named AS (SELECT run_id, value AS workload FROM params WHERE name = 'workload.name'),
asked AS (
    SELECT run_id FROM runs WHERE status = 'done' AND (len(?::VARCHAR[]) = 0
        OR list_contains(?::VARCHAR[], experiment) OR list_contains(?::VARCHAR[], sweep_id)
        OR list_contains(?::VARCHAR[], run_id)))
SELECT DISTINCT p.name FROM params p JOIN asked USING (run_id) LEFT JOIN named n USING (run_id)
WHERE (p.name LIKE 'workload.%' AND p.name NOT LIKE '%.seed') OR p.name = '{_MODEL}'
GROUP BY p.name, CASE WHEN p.name NOT IN ('{_MODEL}', '{_WORKLOAD}') THEN n.workload END
HAVING count(DISTINCT coalesce(p.value, '')) > 1 OR (p.name = '{_WORKLOAD}' AND count(p.value) > 0)
"""


def comparable(
    store: StoreReader,
    by: Sequence[str],
    mixed: bool = False,
    names: Sequence[str] = (),
    mixed_models: bool = True,
) -> list[str]:
    """Return the parameters that must agree for two settings to be compared: those of `by`, then what is given.

    Who asks which setting to use has a workload to run, with its load: its name and its settings that differ
    between runs count unless `mixed` is set. So does the model, unless `mixed_models` is set. `names`: the
    experiments, sweeps or runs that are asked about. Raises as `full_parameters`.
    """
    found = full_parameters(store, by)
    if mixed and mixed_models:
        return found
    given = set(store.query(_GIVEN, [list(names)] * 4).column(0).to_pylist()) - set(found)
    model = [_MODEL] if _MODEL in given and not mixed_models else []
    loads = [] if mixed else sorted(given - {_MODEL}, key=lambda name: (name != _WORKLOAD, name))
    return [*found, *model, *loads]
