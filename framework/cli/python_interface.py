"""`framework.run(...)`: a study from Python, in a notebook for example, with the overrides of the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from framework.errors import ConfigError, RunFailedError
from framework.store.database.frames import Kind, OpenStore, as_kind, open_store


@dataclass(frozen=True)
class Study:
    """What a study came to.

    Attributes:
        experiment: the name under which its runs are listed.
        outputs: its outputs folder.
        run_ids: its runs in the order of their points, those that were done before included.
        skipped: those of them that were done before.
        failed: run id to the reason of each run that failed.
        sweep_id: None for a single run.
    """

    experiment: str
    outputs: str
    run_ids: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    sweep_id: str | None = None

    @property
    def store(self) -> OpenStore:
        """The store that holds its runs, and all others of its folder."""
        return open_store(self.outputs)

    def results(self, as_: Kind = "arrow") -> Any:
        """Return a wide row for each of its runs that is done; see `OpenStore.results`."""
        wanted = "SELECT * FROM results WHERE list_contains(?, run_id)"
        return as_kind(self.store.query(wanted, [list(self.run_ids)]), as_)

    def __len__(self) -> int:
        return len(self.run_ids)


def run(*overrides: str, check: bool = True) -> Study:
    """Carry out a study and return what it came to.

    Args:
        overrides: as on the command line: `"+experiment=NAME"`, `"scale=toy"`, `"backend.max_num_seqs=8,16"`,
            `"-m"`, `"--config-dir=DIR"`.
        check: raise if a run failed; otherwise the failed runs are in `Study.failed`.

    Raises:
        ConfigError: the configuration is refused; nothing was started.
        RunFailedError: a run failed; the others are kept in the store.
        KeyboardInterrupt: it was interrupted; finished runs are kept, and the same call resumes.
    """
    from hydra.core.global_hydra import GlobalHydra

    from framework.cli.study_command import last_study, run_study
    from framework.configuration.search_path import CONFIG_DIR, take_config_dir

    for override in overrides:
        if not isinstance(override, str):
            raise ConfigError(f"override {override!r:.80}: a text such as 'key=value'")
    before = os.environ.get(CONFIG_DIR)
    failure: RunFailedError | None = None
    GlobalHydra.instance().clear()
    try:
        status = run_study(take_config_dir(overrides))
        if status >= 128:
            raise KeyboardInterrupt
    except RunFailedError as error:
        failure = error
    finally:
        GlobalHydra.instance().clear()
        if before is None:
            os.environ.pop(CONFIG_DIR, None)
        else:
            os.environ[CONFIG_DIR] = before
    found = last_study()
    if failure is not None and (check or found is None):
        raise failure
    if found is None:  # a page of help or of configuration
        return Study("", "", ())
    return Study(**found)
