"""How far predictions are from measurements: by metric, by family, by regime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framework.analysis.error_measures import ErrorSummary, summarise_errors
from framework_twin.calibration.fit import measured_value
from framework_twin.measured.measured_runs import MeasuredRun, RunSetup
from framework_twin.physics.regimes import saturation_regime

REPORTED = (
    "total_tok_s",
    "output_tok_s",
    "requests_s",
    "completed",
    "itl_mean_ms",
    "itl_median_ms",
    "itl_p99_ms",
    "tpot_mean_ms",
    "ttft_mean_ms",
    "ttft_censored_ms",
    "kv_usage_peak",
    "running_mean",
    "running_peak",
    "waiting_peak",
    "power_mean_w",
    "decode_step_mean_ms",
    "prefill_time_s",
)
"""Quantities whose error is reported, named as the `measured_*` columns without their prefix."""


@dataclass(frozen=True)
class Pair:
    """One predicted and measured value of a run.

    Attributes:
        metric: name without prefix; family, regime, model: groups it belongs to.
    """

    run_id: str
    metric: str
    model: str
    family: str
    regime: str
    clean: bool
    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted / self.measured


@dataclass(frozen=True)
class GroupError:
    """Errors of one metric over one group of runs.

    Attributes:
        group: `all clean`, `family X`, `regime X`, `not clean`.
    """

    group: str
    metric: str
    errors: ErrorSummary


def regime(run: MeasuredRun) -> str:
    """Return `burst`, or `below`, `at`, `above` saturation by measured over offered token rate.

    Saturation shows in the tokens that were served: at least 98 % of the offered rate is below it, less
    than 90 % above it (starved).
    """
    setup = run.setup
    if setup.arrival != "poisson":
        return "offline" if setup.offline else "burst"
    served = measured_value(run, "total_tok_s")
    if served is None:
        return "unknown"
    share = served / _offered_tok_s(run, setup)
    return saturation_regime(share)


def _offered_tok_s(run: MeasuredRun, setup: RunSetup) -> float:
    """Offered tokens per second: of the prompts sent where they are known, else nominal."""
    sent = measured_value(run, "prompts_sent")
    if sent is None or not setup.duration_limit_s:
        return setup.offered_tok_s
    return sent / setup.duration_limit_s * (setup.input_mean + setup.output_mean)


def pairs_of(run: MeasuredRun, predicted: Mapping[str, float]) -> list[Pair]:
    """Return the run's predicted and measured values where both exist."""
    setup, where = run.setup, regime(run)
    out = []
    for metric in REPORTED:
        measured = measured_value(run, metric)
        value = predicted.get(metric)
        if measured is None or value is None or not np.isfinite(value):
            continue
        out.append(Pair(setup.run_id, metric, setup.model, setup.family, where, run.clean, value, measured))
    return out


def group_errors(pairs: Sequence[Pair]) -> list[GroupError]:
    """Return errors overall (clean runs), by family and by regime; runs with defects stand apart."""
    clean = [pair for pair in pairs if pair.clean]
    groups: dict[str, list[Pair]] = {"all clean": clean}
    for pair in clean:
        groups.setdefault(f"family {pair.family}", []).append(pair)
        groups.setdefault(f"regime {pair.regime}", []).append(pair)
    groups["not clean"] = [pair for pair in pairs if not pair.clean]
    out = []
    for name, chosen in groups.items():
        for metric in REPORTED:
            rows = [pair for pair in chosen if pair.metric == metric]
            if rows:
                errors = summarise_errors([pair.predicted for pair in rows], [pair.measured for pair in rows])
                out.append(GroupError(name, metric, errors))
    return out
