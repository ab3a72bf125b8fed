"""A study from its grids to its last run: plan, skip what is done, launch the rest, keep count.

The calls, from the first call (above) to the last:

    cli.study_command.run_study ─► hydra.main
      │
      ├─► StudySweeper.sweep          the axes of the experiment and of the command line
      │     └─► study.carry_out       plan; begin the session; skip what is done
      │           │
      │           ├─► StudySweeper._launch ─► Hydra's launcher (basic, joblib, slurm), for each job:
      │           │     ├─► StudyCallback.on_job_start ─► session.on_start ───────► SweepProgress.started
      │           │     ├─► study_command.task ─► runner.execute_job ─► the run's bundle
      │           │     │     └─ RunContext.progress ─► session.on_progress ──────► SweepProgress.progress
      │           │     └─► StudyCallback.on_job_end ─┐  (a job of this process)
      │           ├─► watch: bundles that land ───────┴► session.add ─────────────► SweepProgress.update
      │           └─► repeats.next_round              further points, launched in the same way
      │
      ├─► StudyCallback.on_multirun_end ─► ending.end_sweep: ingest, advisors, tables
      └─► study_command.sweep_status: the session's outcomes become the exit status
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.core.utils import JobReturn
from omegaconf import DictConfig, OmegaConf

from framework.configuration.components import build_component
from framework.configuration.hydra_private import returned_or_raised
from framework.configuration.study_config import describing_config, resolved, study_name, without_hydra
from framework.contracts import Json
from framework.errors import ConfigError, one_line
from framework.identity.versions import derivation_hash
from framework.processes.between_runs import kept_between_runs
from framework.processes.end_signals import not_lost
from framework.report.terminal.terminal_tables import SweepProgress
from framework.run.derivation import derive_again
from framework.run_record import Failure, RunOutcome
from framework.store.side_files.sweep_plans import SweepPlan, save_plan
from framework.sweep.axis_check import Composer, check_axes, check_size, check_study_axes
from framework.sweep.dry_run import show_plan
from framework.sweep.grid import Axis, Point, PointKey, merged_grids, points
from framework.sweep.planning import changes_since_last, plan_sweep
from framework.sweep.repeats import check_repeats, next_round
from framework.sweep.session import GaveUpError, SweepSession, begin
from framework.sweep.sharing.claims_of_points import HeldElsewhereError, is_free
from framework.sweep.sharing.launchers import known_as_launcher
from framework.sweep.sweep_code import sweep_code
from framework.sweep.watch import bundle_names, watching_bundles

_AWAIT_S = 0.5

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]


@dataclass(frozen=True)
class Grids:
    """What is swept: the axes of each grid, those common to all, and the overrides of the command line."""

    own: Sequence[Sequence[Axis]]
    common: Sequence[Axis]
    given: Sequence[Axis]

    def split(self) -> tuple[list[str], list[list[Axis]]]:
        """Return overrides fixed for every job, and the axes of each grid with the given ones in place."""
        gridded = {key for axes in (self.common, *self.own) for key, _ in axes}
        # `++key=value` means the axis `key` too
        given = [
            (key.lstrip("+") if key.lstrip("+") in gridded else key, values) for key, values in self.given
        ]
        # what is below a swept group exists in its points only: the base configuration can't hold it
        groups = {key.lstrip("+") for key, values in given if len(values) > 1}
        swept = [
            (key, values)
            for key, values in given
            if len(values) > 1
            or key in gridded
            or ("." in key and key.lstrip("+").partition(".")[0] in groups)
        ]
        kept = {key for key, _ in swept}
        fixed = [f"{key}={values[0]}" for key, values in given if key not in kept]
        return fixed, merged_grids(self.common, self.own, swept)


def carry_out(config: DictConfig, grids: Grids, composer: Composer, launch: Launch) -> SweepSession:
    """Run a study and return what happened; the session stays available to the callback that ends it.

    Args:
        config: the composed base configuration, Hydra's own node included.
        grids: what is swept.
        composer: composes configurations, for the check before anything starts.
        launch: hands jobs (override lists) to Hydra's launcher and returns its job returns.
    """
    repeats = check_repeats(config)
    kept = config.scale.get("axis_points")
    if kept is not None and not (isinstance(kept, int) and kept >= 1):
        raise ConfigError(f"configuration key 'scale.axis_points': must be null or at least 1, got {kept}")
    task = without_hydra(config)
    backend = build_component(task, "backend")  # first: one that has to get ready can do so meanwhile
    check_study_axes(task, [grids.common, *grids.own, grids.given])
    fixed, axes = grids.split()
    if not axes:
        given = ", ".join(f"{key}={','.join(values)}" for key, values in grids.given)
        raise ConfigError(f"no run left: no grid contains all of {given}")
    check_size(axes, repeats, kept)
    check_axes(composer, fixed, axes)
    _check_given(task, axes)
    code = sweep_code(backend, composer, fixed, axes)
    study = _Study(task, code, fixed, points(axes, repeats, kept), launch)
    if config.dry_run:
        study.show()
        return study.session
    study.session.missing.forget()
    with known_as_launcher(study.session.outputs_dir, study.session.sweep_id):
        study.run()
    return study.session


def _check_given(task: DictConfig, grids: Sequence[Sequence[Axis]]) -> None:
    """Raise `ConfigError` for a mandatory value that neither the base configuration nor an axis of a grid gives."""
    for missing in OmegaConf.missing_keys(task):
        for axes in grids:
            keys = {key.lstrip("+") for key, _ in axes}
            if missing not in keys and missing.partition(".")[0] not in keys:
                resolved(task)


class _Study:
    """One sweep under way."""

    def __init__(
        self, task: DictConfig, code: str, fixed: Sequence[str], todo: Sequence[Point], launch: Launch
    ) -> None:
        self.config = task
        self.code = code
        self.fixed = fixed
        self.todo = todo
        self.launch = launch
        self.resumed: set[PointKey] = set()
        self.base: dict[str, Json] = describing_config(task, partly=True)
        first = self._planned(todo)
        self.session = begin(SweepSession(first.sweep_id, first.experiment, str(task.outputs_dir)))
        self.session.max_failures = 1 if task.fail_fast else task.max_failures
        self.changes = changes_since_last(Path(self.session.outputs_dir), first)

    def show(self) -> None:
        """Print the points and what of them is done."""
        self.session.dry = True
        show_plan(self.session.outputs_dir, self._planned(self.todo), self.todo, bool(self.config.resume))

    def run(self) -> None:
        """Run all points, then further repeats while the stop rule asks for them."""
        session, config = self.session, self.config
        batch = list(self.todo)
        pending = self._pending(batch)
        with SweepProgress(
            session.experiment, len(batch), len(session.skipped), enabled=bool(config.progress)
        ) as progress:
            if self.changes and not session.skipped:
                progress.note("configuration changed since the last sweep: " + "; ".join(self.changes))
            session.on_start = lambda point: progress.started(point.description)
            session.on_progress = lambda point, *state: progress.progress(point.description, *state)
            session.on_outcome = lambda point, outcome: progress.update(point.description, outcome)
            session.on_queue, session.announce = progress.queue, progress.note
            try:
                with not_lost(), kept_between_runs():
                    while batch:
                        if pending:
                            self._launch(pending)
                        batch = [] if session.gave_up else self._further_repeats()
                        pending = self._pending(batch)
                        progress.extend(len(batch), skipped=len(batch) - len(pending))
            except KeyboardInterrupt:
                session.interrupted = True
        self._keep_found_done()

    def _planned(self, todo: Sequence[Point]) -> SweepPlan:
        return plan_sweep(study_name(self.config), self.base, self.code, todo)

    def _pending(self, batch: Sequence[Point]) -> list[Point]:
        """Plan a batch of points; return those to run now, and note in the session what is skipped."""
        from framework.store.lookup import done_job_keys, failed_job_keys

        if not batch:
            return []
        session, plan = self.session, self._planned(batch)
        session.plan(batch)
        session.known_bundles.update(
            bundle_names(session.outputs_dir)
        )  # what lands from now on is not skipped
        save_plan(Path(session.outputs_dir), self._planned(list(session.points.values())))
        keys = dict(zip(plan.job_keys, batch, strict=True))
        if self.config.resume:
            done = done_job_keys(session.outputs_dir, list(keys))
            session.skipped |= {keys[key].key: run_id for key, run_id in done.items()}
            self.resumed.update(keys[key].key for key in done)
            self._derive_again(list(done.values()))
        pending = [point for point in batch if point.key not in session.skipped]
        if self.config.failed_only:
            failed = {keys[key].key for key in failed_job_keys(session.outputs_dir, list(keys))}
            pending = [point for point in pending if point.key in failed]
        return pending

    def _keep_found_done(self) -> None:
        """Add to the plan the runs of other commands that stand for points of this sweep.

        Their job keys are other ones: only the composed configuration showed that they are the same.
        """
        session = self.session
        found = {key: run_id for key, run_id in session.skipped.items() if key not in self.resumed}
        if found:
            plan = self._planned(list(session.points.values()))
            keys = dict(zip(session.points, plan.job_keys, strict=True))
            runs = {keys[key]: run_id for key, run_id in found.items()}
            save_plan(Path(session.outputs_dir), replace(plan, done_elsewhere=runs))

    def _derive_again(self, run_ids: Sequence[str]) -> None:
        """Bring metrics of an earlier definition up to date, from the tables that are stored."""
        from framework.store.lookup import outdated_runs

        outputs = self.session.outputs_dir
        outdated = outdated_runs(outputs, run_ids, derivation_hash())
        if outdated:
            again = derive_again(outputs, outdated)
            self.session.rederived.update(again.run_ids)
            self.session.outdated |= again.refused

    def _further_repeats(self) -> list[Point]:
        from framework.store.database.reader import Store

        rule = self.config.repeat_until
        if rule.metric is None or self.session.detached:
            return []
        return next_round(self.session, Store(self.session.outputs_dir), rule)

    def _launch(self, pending: Sequence[Point]) -> None:
        from framework.store.lookup import known_runs

        plan = self._planned(pending)
        jobs = [
            [*self.fixed, *point.overrides, *_position(plan.sweep_id, point, key)]
            for point, key in zip(pending, plan.job_keys, strict=True)
        ]
        before = known_runs(self.session.outputs_dir)
        with watching_bundles(self.session):
            returns = self.launch(jobs, 0)
        held = []
        for point, job in zip(pending, returns, strict=True):
            value = returned_or_raised(job)
            if isinstance(value, HeldElsewhereError):
                held.append(point)
            elif not isinstance(value, GaveUpError):
                self.session.add(point.key, _outcome(job))
        if held:
            self._await(held, before)

    def _await(self, held: Sequence[Point], before: Collection[str]) -> None:
        """Wait for the points that other processes carry out; one that is left open by them is run here."""
        from framework.store.lookup import done_job_keys, new_failures

        outputs = self.session.outputs_dir
        self.session.announce(f"{len(held)} points are being run by another process; waiting for them")
        waiting = dict(zip(self._planned(held).job_keys, held, strict=True))
        while waiting:
            ended = [key for key in waiting if is_free(outputs, key)]
            done = done_job_keys(outputs, ended)
            failed = new_failures(outputs, [key for key in ended if key not in done], before)
            for key, run_id in done.items():
                self.session.add(waiting.pop(key).key, RunOutcome(run_id, "done", skipped=True))
            for key, (run_id, failure) in failed.items():
                self.session.add(waiting.pop(key).key, RunOutcome(run_id, "failed", failure=failure))
            left_open = [waiting.pop(key) for key in ended if key in waiting]
            if left_open:
                self._launch(left_open)
            elif waiting and not ended:
                time.sleep(_AWAIT_S)


def _position(sweep_id: str, point: Point, job_key: str) -> list[str]:
    return [
        f"sweep.id={sweep_id}",
        f"sweep.index={point.index}",
        f"sweep.job_key={job_key}",
        f"sweep.repeat={point.repeat}",
    ]


def _outcome(job: JobReturn) -> RunOutcome:
    """Return a job's outcome; whatever ended the job before it had one becomes a failure of the launcher."""
    value = returned_or_raised(job)
    if isinstance(value, RunOutcome):
        return value
    assert isinstance(value, BaseException)
    return RunOutcome("", "failed", failure=Failure("launcher", type(value).__name__, one_line(value)))
