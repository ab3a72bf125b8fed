"""The Hydra app: compose a study and carry it out."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext, redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import Any

from omegaconf import DictConfig

from framework.analysis.number_format import count_noun
from framework.cli.study_arguments import prepared, without_schemas
from framework.configuration.composition import register_with_hydra
from framework.configuration.hydra_private import composed_once
from framework.configuration.resources import conf_dir
from framework.configuration.study_config import study_name
from framework.errors import ConfigError, RunFailedError, StoreError, UserError, one_line
from framework.plugins import check_names
from framework.processes.end_signals import exit_status_of, interrupted_by, not_lost
from framework.run.number_libraries import load_numpy_and_arrow
from framework.run.runner import execute, execute_job, own_overrides
from framework.run_record import RunOutcome
from framework.store.bundles.remote import is_url
from framework.sweep import session as sessions
from framework.sweep.repeats import check_repeats
from framework.sweep.session import GaveUpError
from framework.sweep.sharing.claims_of_points import claimed
from framework.sweep.sharing.missing import MissingThings


def run_study(arguments: list[str]) -> int:
    """Run Hydra on a study's overrides; return the exit status.

    Raises:
        UserError: one line on what the user can fix.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from framework.cli.hydra_errors import as_user_error

    # Hydra must hand its exceptions over instead of printing tracebacks
    os.environ["HYDRA_FULL_ERROR"] = "1"
    _single.clear()
    load_numpy_and_arrow()
    sessions.forget()  # what an earlier study of this process came to is not this one's exit status
    check_names()
    register_with_hydra()
    arguments = prepared(arguments)
    try:
        status = _carried_out(arguments)
        if status is None:  # one configuration, but several runs or a launcher: a sweep of one point
            status = _carried_out(["--multirun", *arguments])
    except (HydraException, OmegaConfBaseException) as error:
        raise as_user_error(error, arguments) from error
    return status if status else sweep_status()


def _carried_out(arguments: list[str]) -> int | None:
    """Hand the arguments to Hydra; return an exit status, or None if the configuration asks for a sweep."""
    import hydra

    before = sys.argv
    sys.argv = [sys.argv[0], *arguments]
    raised: list[Exception] = []
    needs_sweep: list[bool] = []

    def guarded_task(config: DictConfig) -> RunOutcome | None:
        try:
            if config.sweep.id is None and _asks_for_sweep(config):
                needs_sweep.append(True)
                return None
            with not_lost():
                return task(config)
        except Exception as error:  # kept from Hydra, which would announce it in words of its own
            if config.sweep.id is not None:
                raise
            raised.append(error)
            return None

    app = hydra.main(config_path=str(conf_dir()), config_name="config", version_base="1.3")(guarded_task)
    asks_help = any(text in ("--help", "-h") for text in arguments)
    is_single = not any(text in ("--multirun", "-m") for text in arguments)
    try:
        with (
            redirect_stdout(StringIO()) if asks_help else nullcontext() as page,
            composed_once() if is_single else nullcontext(),
        ):
            app()
    except SystemExit as error:  # argparse: --help of Hydra
        return int(error.code or 0) if not isinstance(error.code, str) else 2
    finally:
        sys.argv = before
        if asks_help and page is not None:
            print(without_schemas(page.getvalue()), end="")
    if raised:
        raise raised[0]
    return None if needs_sweep else 0


def _asks_for_sweep(config: DictConfig) -> bool:
    """Whether one configuration stands for several runs, or for one that a launcher is to carry out.

    Raises:
        ConfigError: a number of repeats below 1, or `failed_only` where no sweep has failed points.
    """
    from hydra.core.hydra_config import HydraConfig

    check_repeats(config)
    if config.failed_only:
        raise ConfigError("failed_only=true: runs the failed points of a sweep again; for a sweep add -m")
    launcher = HydraConfig.get().runtime.choices.get("hydra/launcher")
    return (
        bool(config.dry_run)
        or config.repeats > 1
        or config.repeat_until.metric is not None
        or launcher not in (None, "basic")
    )


def task(config: DictConfig) -> RunOutcome:
    """Carry out one job: in a sweep every failure becomes a row, a single run raises it."""
    if config.sweep.id is None:
        return _single_run(config)
    session, position = sessions.current(), config.sweep
    missing = MissingThings(str(config.outputs_dir), position.id)
    if (session is not None and session.gave_up) or missing.cannot_run(own_overrides()):
        raise GaveUpError
    if session is not None:
        point = session.points[position.index, position.repeat]
        with _claim(config):
            outcome = execute_job(config, lambda fraction, text: session.on_progress(point, fraction, text))
    else:
        from framework.report.terminal.progress_bars import run_progress

        # in a process of a launcher: its log is ours to write to, the terminal is the sweep's
        shown = bool(config.progress) and not sys.stderr.isatty()
        with _claim(config), run_progress(study_name(config), shown) as progress:
            outcome = execute_job(config, progress)
    missing.learn(own_overrides(), outcome)
    return outcome


def _claim(config: DictConfig) -> AbstractContextManager[None]:
    """Claim the job's point, so that another terminal that runs the same sweep leaves it alone.

    Points that run again whether done or not are everybody's; jobs of a cluster have their ledger.
    """
    if not config.resume or "SLURM_JOB_ID" in os.environ or is_url(str(config.outputs_dir)):
        return nullcontext()
    return claimed(str(config.outputs_dir), str(config.sweep.job_key))


_single: list[dict[str, Any]] = []


def last_study() -> dict[str, Any] | None:
    """Return what the last study of this process came to, by the names of `python_interface.Study`; None without."""
    session = sessions.current()
    if session is None:
        return _single[-1] if _single else None
    return {
        "experiment": session.experiment,
        "outputs": session.outputs_dir,
        "run_ids": tuple(session.run_ids),
        "skipped": tuple(session.skipped[key] for key in sorted(session.skipped)),
        "failed": {o.run_id: o.failure.reason if o.failure else o.status for o in session.failed.values()},
        "sweep_id": session.sweep_id,
    }


def _single_run(config: DictConfig) -> RunOutcome:
    from framework.report.terminal.progress_bars import run_progress
    from framework.store.database.ingest import ingest

    with run_progress(study_name(config), bool(config.progress)) as progress:
        outcome = execute(config, progress)
        progress(1.0, "bringing it into the store")
        ingest(str(config.outputs_dir))
    failed = {outcome.run_id: outcome.failure.reason} if outcome.failure is not None else {}
    skipped = (outcome.run_id,) if outcome.skipped else ()
    _single[:] = [
        {
            "experiment": study_name(config),
            "outputs": str(config.outputs_dir),
            "run_ids": (outcome.run_id,),
            "skipped": skipped,
            "failed": failed,
        }
    ]
    if outcome.failure is not None:
        raise RunFailedError(
            f"run {outcome.run_id} failed in {outcome.failure.stage}: {outcome.failure.reason}"
        )
    if config.progress:
        from framework.report.terminal.terminal_tables import print_outcome

        if outcome.skipped:
            outcome = replace(outcome, metrics=_stored_metrics(str(config.outputs_dir), outcome.run_id))
        print_outcome(outcome)
    if outcome.outdated is not None:
        from framework.report.terminal.terminal_tables import print_note
        from framework.run.derivation import refusal_notes

        for note in refusal_notes({outcome.run_id: outcome.outdated}):
            print_note(note)
    return outcome


def _stored_metrics(outputs: str, run_id: str) -> Mapping[str, float | None]:
    from framework.store.database.reader import Store

    with closing(Store(outputs)) as store:
        return dict(store.rows("SELECT name, value FROM metrics WHERE run_id = ?", [run_id])[1])


def sweep_status() -> int:
    """Return 0 if every point of the sweep is done, 1 if one failed, 128 and the signal if it was interrupted."""
    session = sessions.current()
    if session is None:
        return 0
    if session.interrupted:
        print(f"{interrupted_by()}: finished runs are kept; the same command resumes", file=sys.stderr)
        return exit_status_of()
    if session.end_error is not None:
        error = session.end_error
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        raise StoreError(
            f"the runs are kept, but the sweep did not end in order: {kind}{one_line(error)}; "
            "`python -m framework ingest` brings them into the database"
        ) from error
    if session.gave_up and session.not_started:
        raise RunFailedError(
            f"stopped after {count_noun(len(session.failed), 'failure')} (max_failures={session.max_failures}): "
            f"{session.not_started} of {len(session.points)} runs were not started; the same command resumes"
        )
    missing = session.missing.known()
    if missing and session.not_started:
        raise RunFailedError(
            f"{missing[-1].reason}: {session.not_started} of {len(session.points)} runs need the same and were "
            "not started; the same command resumes"
        )
    if session.failed:
        raise RunFailedError(
            f"{len(session.failed)} of {len(session.points)} runs failed; "
            "python -m framework sql 'SELECT * FROM failures' shows why; failed_only=true runs them again"
        )
    return 0
