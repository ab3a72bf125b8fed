"""The Hydra app: compose a study and carry it out."""

from __future__ import annotations

import os
import sys

from omegaconf import DictConfig

from framework.configuration.composition import register_with_hydra
from framework.configuration.resources import conf_dir
from framework.errors import ConfigError, RunFailedError, did_you_mean
from framework.run.runner import execute, execute_job
from framework.run_record import RunOutcome
from framework.sweep import session as sessions


def run_study(arguments: list[str]) -> int:
    """Run Hydra on a study's overrides; return the exit status.

    Raises:
        UserError: one line on what the user can fix.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from framework.cli.hydra_errors import as_user_error

    # Hydra must hand its exceptions over instead of printing tracebacks
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sessions.forget()  # what an earlier study of this process came to is not this one's exit status
    register_with_hydra()
    _check_flags(arguments)
    # argparse takes flags between overrides for the end of the overrides
    arguments = sorted(arguments, key=lambda text: text not in ("-m", "--multirun"))
    sys.argv = [sys.argv[0], *arguments]
    raised: list[Exception] = []

    def guarded_task(config: DictConfig) -> RunOutcome | None:
        try:
            return task(config)
        except Exception as error:  # kept from Hydra, which would announce it in words of its own
            if config.sweep.id is not None:
                raise
            raised.append(error)
            return None

    app = hydra.main(config_path=str(conf_dir()), config_name="config", version_base="1.3")(guarded_task)
    try:
        app()
        if raised:
            raise raised[0]
    except (HydraException, OmegaConfBaseException) as error:
        raise as_user_error(error, arguments) from error
    except SystemExit as error:  # argparse: an unknown flag, or --help of Hydra
        return int(error.code or 0) if not isinstance(error.code, str) else 2
    return sweep_status()


def _check_flags(arguments: list[str]) -> None:
    """Raise `ConfigError` for a flag that Hydra does not know; its own message is a page long."""
    from framework.configuration.hydra_private import command_line_flags

    unknown, known = command_line_flags(arguments)
    if unknown:
        raise ConfigError(f"unknown flag '{unknown[0]}'{did_you_mean(unknown[0], known)}")


def task(config: DictConfig) -> RunOutcome:
    """Carry out one job: in a sweep every failure becomes a row, a single run raises it."""
    if config.sweep.id is None:
        return _single_run(config)
    session, position = sessions.current(), config.sweep
    if session is not None:
        point = session.points[position.index, position.repeat]
        return execute_job(config, lambda fraction, text: session.on_progress(point, fraction, text))
    from framework.report.terminal.progress_bars import run_progress

    # in a process of a launcher: its log is ours to write to, the terminal is the sweep's
    with run_progress(str(config.experiment), bool(config.progress) and not sys.stderr.isatty()) as progress:
        return execute_job(config, progress)


def _single_run(config: DictConfig) -> RunOutcome:
    from framework.report.terminal.progress_bars import run_progress
    from framework.report.terminal.terminal_tables import print_note, print_outcome
    from framework.run.derivation import refusal_notes
    from framework.store.database.ingest import ingest

    with run_progress(str(config.experiment), bool(config.progress)) as progress:
        outcome = execute(config, progress)
        progress(1.0, "bringing it into the store")
        ingest(str(config.outputs_dir))
    if outcome.failure is not None:
        raise RunFailedError(
            f"run {outcome.run_id} failed in {outcome.failure.stage}: {outcome.failure.message}"
        )
    if config.progress:
        print_outcome(outcome)
    if outcome.outdated is not None:
        for note in refusal_notes({outcome.run_id: outcome.outdated}):
            print_note(note)
    return outcome


def sweep_status() -> int:
    """Return 0 if every point of the sweep is done, 1 if one failed, 130 if it was interrupted."""
    session = sessions.current()
    if session is None:
        return 0
    if session.interrupted:
        print("interrupted: finished runs are kept; the same command resumes", file=sys.stderr)
        return 130
    if session.failed:
        raise RunFailedError(
            f"{len(session.failed)} of {len(session.points)} runs failed; "
            "python -m framework sql 'SELECT * FROM failures' shows why; failed_only=true runs them again"
        )
    return 0
