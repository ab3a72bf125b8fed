"""A study from its grids to its last run: plan, skip what is done, launch the rest, keep count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from framework.components import build_component
from framework.config import describing_config
from framework.errors import ConfigError
from framework.report.terminal import SweepProgress
from framework.run_record import Failure
from framework.runner import RunOutcome
from framework.sweep import manifest as manifests
from framework.sweep.grid import Axis, Point, merged_axes, points
from framework.sweep.session import SweepSession, begin
from framework.sweep.watch import watching_bundles
from framework.versions import code_version

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[Any]]


def carry_out(
    config: DictConfig,
    grids: Sequence[Sequence[Axis]],
    common: Sequence[Axis],
    given: Sequence[Axis],
    launch: Launch,
) -> SweepSession:
    """Run a study and return what happened; the session stays available to the callback that ends it.

    Args:
        config: the composed base configuration, Hydra's own node included.
        grids: axes of each grid of the experiment file.
        common: axes shared by all grids.
        given: overrides of the command line; they win over both.
        launch: hands jobs (override lists) to Hydra's launcher and returns its job returns.
    """
    repeats = int(config.repeats)
    if repeats < 1:
        raise ConfigError(f"configuration key 'repeats': must be at least 1, got {repeats}")
    fixed, swept = _split(given, {key for axes in (common, *grids) for key, _ in axes})
    own = [merged_axes(common, grid, swept) for grid in grids]
    todo = points(own, repeats, config.scale.get("axis_points"))
    plan = _planned(config, todo)
    outputs = Path(str(config.outputs_dir))
    session = begin(SweepSession(plan.sweep_id, plan.experiment, str(outputs), list(todo)))
    changes = manifests.changes_since_last(outputs, plan)
    manifests.save(outputs, plan)
    pending = _pending(config, session, plan)
    with SweepProgress(
        plan.experiment, len(todo), len(session.skipped), enabled=bool(config.progress)
    ) as progress:
        if changes and not session.skipped:
            progress.note("configuration changed since the last sweep: " + "; ".join(changes))
        session.on_outcome = lambda point, outcome: progress.update(" ".join(point.overrides), outcome)
        try:
            if pending:
                _launch_pending(session, plan, pending, fixed, launch)
        except KeyboardInterrupt:
            session.interrupted = True
    return session


def _planned(config: DictConfig, todo: Sequence[Point]) -> manifests.Manifest:
    task = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    code = code_version(build_component(task, "backend"))
    return manifests.plan(str(config.experiment), describing_config(task), code, todo)


def _split(given: Sequence[Axis], gridded: set[str]) -> tuple[list[str], list[Axis]]:
    """Part the command line's overrides: those fixed for every job, and those that are or replace an axis."""
    fixed, swept = [], []
    for key, values in given:
        if len(values) == 1 and key not in gridded:
            fixed.append(f"{key}={values[0]}")
        else:
            swept.append((key, values))
    return fixed, swept


def _pending(config: DictConfig, session: SweepSession, plan: manifests.Manifest) -> list[Point]:
    """Return the points to run now, and note in the session what is skipped."""
    from framework.store.lookup import done_job_keys, failed_job_keys

    keys = dict(zip(plan.job_keys, plan.points, strict=True))
    if config.resume:
        done = done_job_keys(session.outputs_dir, list(keys))
        session.skipped = {keys[key].index: run_id for key, run_id in done.items()}
    pending = [point for point in plan.points if point.index not in session.skipped]
    if config.failed_only:
        failed = failed_job_keys(session.outputs_dir, list(keys))
        indexes = {keys[key].index for key in failed}
        pending = [point for point in pending if point.index in indexes]
    return pending


def _launch_pending(
    session: SweepSession,
    plan: manifests.Manifest,
    pending: Sequence[Point],
    fixed: Sequence[str],
    launch: Launch,
) -> None:
    jobs = [_job_overrides(plan, point, fixed) for point in pending]
    with watching_bundles(session):
        returns = launch(jobs, 0)
    for point, job in zip(pending, returns, strict=True):
        if point.index not in session.outcomes:
            session.add(point, _outcome(job))


def _job_overrides(plan: manifests.Manifest, point: Point, fixed: Sequence[str]) -> list[str]:
    return [
        *fixed,
        *point.overrides,
        f"sweep.id={plan.sweep_id}",
        f"sweep.index={point.index}",
        f"sweep.job_key={plan.job_keys[point.index]}",
        f"sweep.repeat={point.repeat}",
    ]


def _outcome(job: Any) -> RunOutcome:
    """Return a job's outcome from Hydra's job return, whose `return_value` raises what the job raised."""
    try:
        value = job.return_value
    except Exception as error:  # whatever killed the job
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        return RunOutcome("", "failed", failure=Failure("launcher", type(error).__name__, text))
    assert isinstance(value, RunOutcome)
    return value
