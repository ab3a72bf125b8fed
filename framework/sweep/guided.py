"""The verb `guide`: the most informative next runs within a budget, one batch after the other.

The state is the store: what was run is known, what was not is a candidate. So a study that was interrupted goes on
where it stopped, and runs made for other reasons count as well.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from framework.analysis.prediction.features import Column, FeatureEncoder, Features, FloatArray
from framework.analysis.prediction.gaussian_process import unit_scaled
from framework.analysis.prediction.logged_runs import known_value, param_of
from framework.analysis.prediction.next_runs import choose_next, medoids
from framework.contracts import StoreReader
from framework.errors import ConfigError, UserError, did_you_mean

Method = Literal["guided", "medoids", "random"]
_MOST_CANDIDATES = 50_000


def run_guide(
    metric: str,
    axes: Sequence[str],
    base: Sequence[str],
    budget: int,
    batch: int,
    method: str,
    experiment: str,
    run: bool,
    outputs: Path,
) -> int:
    """Print the next batch as commands, or run batch after batch; see `GuidedStudy`.

    Raises:
        UserError: unknown method, an axis that is not `key=a,b,c`, or a batch without a result.
    """
    from framework.report.terminal.terminal_tables import print_note
    from framework.store.database.ingest import ingest
    from framework.store.database.reader import Store

    if method not in get_args(Method):
        raise ConfigError(f"unknown method '{method}'{did_you_mean(method, get_args(Method))}")
    study = GuidedStudy(metric, parsed_axes(axes), tuple(base), experiment, budget, batch, method)  # type: ignore[arg-type]

    def open_store() -> Store | None:
        if not outputs.is_dir():
            return None
        ingest(outputs)
        return Store(outputs)

    def show(proposal: Proposal) -> None:
        error = proposal.expected_error
        expected = f", expected error {error[0]:.1%}, after the batch {error[1]:.1%}" if error else ""
        print_note(f"{proposal.known} of {budget} runs known{expected}")

    if run:
        carry_out(study, open_store, lambda words: run_in_process_of_its_own(words, str(outputs)), show)
        return 0
    proposal = propose(study, open_store())
    show(proposal)
    for overrides in proposal.overrides:
        print(" ".join(["python -m framework", *study.fixed, *overrides]))
    return 0


def parsed_axes(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the values of each axis.

    Raises:
        UserError: a text that is not key=values, or a key that is given twice.
    """
    axes: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not values or key in axes:
            raise UserError(f"'{text}' is not key=a,b,c" if key not in axes else f"'{key}' is given twice")
        axes[key] = tuple(dict.fromkeys(value.strip() for value in values.split(",")))
    return axes


@dataclass(frozen=True)
class GuidedStudy:
    """What to learn, and within which budget.

    Attributes:
        metric: what a run is asked for (a positive quantity, such as its time).
        axes: values of each configuration key; their combinations are the candidates.
        base: overrides that every run has.
        experiment: experiment file of one run, without a grid; its name is that under which the runs are listed.
        budget: runs to make in all, those that are there included.
        batch: runs between two looks at the results.
        method: `guided`, or one of the baselines.
        per_cost: weigh knowledge by the time a run takes.
        seed: of draws.
    """

    metric: str
    axes: Mapping[str, Sequence[str]]
    base: tuple[str, ...] = ()
    experiment: str = "guided"
    budget: int = 100
    batch: int = 10
    method: Method = "guided"
    per_cost: bool = True
    seed: int = 0

    @property
    def fixed(self) -> tuple[str, ...]:
        """The overrides that every run has."""
        return (f"+experiment={self.experiment}", *self.base)


@dataclass(frozen=True)
class Proposal:
    """The next batch.

    Attributes:
        known: runs of the study that are there.
        overrides: of each run to make, in order; empty when the budget is spent or nothing is left to learn from.
        expected_error: expected relative error over all candidates, before and after the batch; None when unknown.
    """

    known: int
    overrides: tuple[tuple[str, ...], ...]
    expected_error: tuple[float, float] | None


def candidates(axes: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Return all combinations of values.

    Raises:
        UserError: there is no axis, or more combinations than can be looked at.
    """
    count = int(np.prod([len(values) for values in axes.values()])) if axes else 0
    if not 0 < count <= _MOST_CANDIDATES:
        raise UserError(f"the axes have {count} combinations; there must be 1 to {_MOST_CANDIDATES}")
    return list(itertools.product(*axes.values()))


def propose(study: GuidedStudy, store: StoreReader | None) -> Proposal:
    """Return the next batch; `store` is None before the first run."""
    everything = candidates(study.axes)
    known, outcome = known_runs(study, store) if store is not None else ([], np.zeros(0))
    left = min(study.batch, study.budget - len(known))
    done = set(known)
    fresh = [combination for combination in everything if combination not in done]
    if left <= 0 or not fresh:
        return Proposal(len(known), (), None)
    features = _features(study.axes, [*known, *fresh])
    rows = np.arange(len(features))
    of_known, of_fresh = features.rows(rows < len(known)), features.rows(rows >= len(known))
    error = None
    if study.method == "guided":
        chosen = choose_next(
            of_known, np.log(outcome), of_fresh, left, study.per_cost, features, study.seed + len(known)
        )
        order, error = chosen.rows, chosen.expected_error
    elif study.method == "medoids":
        order = medoids(of_fresh, left, study.seed)
    else:
        order = np.random.default_rng([study.seed, len(known)]).permutation(len(fresh))[:left]
    overrides = tuple(
        tuple(f"{key}={value}" for key, value in zip(study.axes, fresh[row], strict=True)) for row in order
    )
    return Proposal(len(known), overrides, error)


_KNOWN = """
SELECT m.run_id, m.value, p.name, p.value FROM metrics m
JOIN observations r USING (run_id) JOIN params p USING (run_id)
WHERE r.experiment = ? AND r.sanity IS DISTINCT FROM 'fail' AND m.name = ? AND m.value > 0
"""


def known_runs(study: GuidedStudy, store: StoreReader) -> tuple[list[tuple[str, ...]], FloatArray]:
    """Return the study's finished runs as combinations of values, and what each gave."""
    rows = zip(
        *(column.to_pylist() for column in store.query(_KNOWN, [study.experiment, study.metric]).columns),
        strict=True,
    )
    params: dict[str, dict[str, str]] = {}
    outcome: dict[str, float] = {}
    for run_id, value, name, text in rows:
        params.setdefault(run_id, {})[name] = text
        outcome[run_id] = value
    base = [text.partition("=") for text in study.base]
    combinations, values = [], []
    for run_id in sorted(params):
        stored = [(params[run_id].get(param_of(key)), value) for key, _, value in base]
        if any(text is not None and known_value(text, [value]) is None for text, value in stored):
            continue  # a run of another study under this name
        texts = tuple(params[run_id].get(param_of(key)) for key in study.axes)
        matched = tuple(
            None if text is None else known_value(text, known)
            for text, known in zip(texts, study.axes.values(), strict=True)
        )
        if all(text is not None for text in matched):
            combinations.append(tuple(str(text) for text in matched))
            values.append(outcome[run_id])
    return combinations, np.array(values, dtype=np.float64)


def _features(axes: Mapping[str, Sequence[str]], rows: Sequence[tuple[str, ...]]) -> Features:
    columns: dict[str, Column] = {}
    for position, key in enumerate(axes):
        texts = [row[position] for row in rows]
        try:
            columns[key] = np.array([float(text) for text in texts])
        except ValueError:
            columns[key] = np.array(texts, dtype=object)
    return unit_scaled(FeatureEncoder.fit(columns).encode(columns))


def carry_out(
    study: GuidedStudy,
    open_store: Callable[[], StoreReader | None],
    run: Callable[[Sequence[str]], None],
    report: Callable[[Proposal], None] = lambda proposal: None,
) -> Proposal:
    """Make batch after batch until the budget is spent; return the last look.

    Args:
        study: the study.
        open_store: read access with everything that was run so far; None while there is nothing.
        run: makes one run from its overrides and brings it into the store.
        report: called with each proposal before it is run.

    Raises:
        UserError: a whole batch left no new run behind: every one of them failed.
    """
    while True:
        proposal = propose(study, open_store())
        report(proposal)
        if not proposal.overrides:
            return proposal
        for overrides in proposal.overrides:
            run((*study.fixed, *overrides))
        if propose(study, open_store()).known == proposal.known:
            raise UserError(f"none of the {len(proposal.overrides)} runs of the batch gave '{study.metric}'")


def run_in_process_of_its_own(overrides: Sequence[str], outputs: str) -> None:
    """Make one run by the command line; a run that fails leaves its row in the store, as in any sweep."""
    subprocess.run(
        [sys.executable, "-m", "framework", *overrides, f"outputs_dir={outputs}", "progress=false"],
        check=False,
    )
