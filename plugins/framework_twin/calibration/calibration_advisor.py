"""Advisor `calibrate`: from a sweep on a real engine to a profile of the twin, and how well that predicts the sweep.

The workloads named in `held_out` are not used in the fit. Every run, fitted or held out, is then replayed on the
twin with its own requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from framework.contracts import Advice, AdvisorScope
from framework_twin.calibration.intervals import HeldOut, fit_intervals
from framework_twin.calibration.replay import measured, other_cores, replay
from framework_twin.calibration.run_groups import Fitted, Measurements, fit_groups, measurements_of
from framework_twin.measured.stored_runs import StoredRun, read_stored
from framework_twin.physics.profile import TwinProfile, write_profile

ADVISOR = "calibrate"


@dataclass(frozen=True)
class ReplayError:
    """One metric of one run, measured and predicted by the twin.

    Attributes:
        held_out: whether the run's workload took no part in the fit.
        other_cores: cores that processes other than the run's kept busy meanwhile; None where nothing counted them.
    """

    run_id: str
    workload: str
    max_num_seqs: str
    held_out: bool
    metric: str
    measured: float
    predicted: float
    other_cores: float | None = None

    @property
    def error_percent(self) -> float:
        """Predicted over measured minus one, in percent."""
        return 100.0 * (self.predicted / self.measured - 1.0)


class CalibrationAdvisor:
    """Fits profiles to the runs of a sweep and replays them.

    Args:
        held_out: names of workloads that only check the fit.
        profile_folder: where the profiles go; the twin's `backend.profile_folder` for it to find them.
    """

    def __init__(self, held_out: Sequence[str] = (), profile_folder: str = "outputs/profiles") -> None:
        self.held_out = frozenset(held_out)
        self.folder = Path(profile_folder)

    def advise(self, scope: AdvisorScope) -> Iterator[Advice]:
        """Yield one piece of advice a profile; none for a sweep without runs of a real engine."""
        runs, _ = read_stored(scope.store, scope.experiment, scope.run_ids)
        everything = measurements_of(scope.store, scope.experiment, scope.run_ids)
        seen = [run for run in everything.runs if run.setup.family not in self.held_out]
        for fitted in fit_groups(Measurements(seen, everything.steps), self.folder):
            if not isinstance(fitted, str):
                errors = self._replayed(scope, fitted, runs)
                write_profile(_with_held_out(fitted.profile, errors), fitted.path)
                yield self._advice(fitted, errors, runs)

    def _replayed(self, scope: AdvisorScope, fitted: Fitted, runs: Sequence[StoredRun]) -> list[ReplayError]:
        own = [run for run in _of(fitted, runs) if "total_tok_s" in run.metrics]
        told = replay(scope.batch_backend("twin", []), own, fitted.path)
        return [
            ReplayError(
                run_id=run.run_id,
                workload=run.family,
                max_num_seqs=run.params.get("backend.max_num_seqs") or "",
                held_out=run.family in self.held_out,
                metric=metric,
                measured=value,
                predicted=told[run.run_id][metric],
                other_cores=other_cores(run),
            )
            for run in own
            for metric, value in measured(run).items()
            if metric in told.get(run.run_id, {})
        ]

    def _advice(self, fitted: Fitted, errors: Sequence[ReplayError], runs: Sequence[StoredRun]) -> Advice:
        model, gpu = fitted.group[:2]
        chosen = {"model": model.lower(), "gpu": gpu.lower()}
        for run in _of(fitted, runs):
            chosen.update({group: run.options[group] for group in chosen if group in run.options})
        fit = fitted.profile.fit
        workloads = len({item.workload for item in errors if item.held_out})
        typical = {name: _median_error(errors, name) for name in ("total_tok_s", "itl_mean_ms")}
        found = " and ".join(
            f"{name} within {value:.1f} %" for name, value in typical.items() if value is not None
        )
        outcome = (
            f"the twin predicts {found} (median) for {workloads} held-out workloads"
            if found
            else "no held-out workload tests the fit"
        )
        return Advice(
            advisor=ADVISOR,
            subject=f"{model} on {gpu}",
            recommendation={"backend": "twin", **chosen},
            metric="itl_mean_ms",
            predicted=None,
            low=None,
            high=None,
            reason=f"profile {fitted.profile.name} is fitted to {fit.runs} runs; {outcome}",
            run_ids=tuple(dict.fromkeys(item.run_id for item in errors)),
            facts={
                "profile": fitted.profile.name,
                "file": str(fitted.path),
                "runs": fit.runs,
                "errors": [{**asdict(item), "error_percent": item.error_percent} for item in errors],
            },
        )


def _of(fitted: Fitted, runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Return the runs of a profile's model and GPU."""
    return [
        run for run in runs if (run.params.get("model.name"), run.params.get("gpu.name")) == fitted.group[:2]
    ]


def _with_held_out(profile: TwinProfile, errors: Sequence[ReplayError]) -> TwinProfile:
    """Return the profile with the errors of the held-out workloads, and the bands that they make."""
    held_out = [item for item in errors if item.held_out and item.predicted > 0]
    medians = {name: _median_error(errors, name) for name in dict.fromkeys(item.metric for item in held_out)}
    residuals = [
        HeldOut(item.workload, item.metric, item.workload, item.measured / item.predicted)
        for item in held_out
    ]
    known = {name: value for name, value in medians.items() if value is not None}
    return replace(
        profile,
        fit=replace(profile.fit, held_out=known),
        intervals=fit_intervals(residuals) if residuals else {},
    )


def _median_error(errors: Sequence[ReplayError], metric: str) -> float | None:
    own = [abs(item.error_percent) for item in errors if item.metric == metric and item.held_out]
    return median(own) if own else None
