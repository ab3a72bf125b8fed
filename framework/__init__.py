"""Performance studies as one YAML file and one command.

In Python:

    import framework

    study = framework.run("+experiment=NAME", "scale=toy")
    study.results(as_="pandas")
    store = framework.open("outputs")
    store.query("SELECT * FROM results LIMIT 5").to_pandas()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from framework.cli.python_interface import Study
    from framework.store.database.frames import OpenStore

__all__ = ["open", "run"]


def open(outputs: Path | str = "outputs", refresh: bool = True) -> OpenStore:
    """Return the store of an outputs folder for reading; see `framework.store.database.frames.open_store`."""
    from framework.store.database.frames import open_store

    return open_store(outputs, refresh)


def run(*overrides: str, check: bool = True) -> Study:
    """Carry out a study, with the overrides of the command line; see `framework.cli.python_interface.run`."""
    from framework.cli.python_interface import run as carry_out

    return carry_out(*overrides, check=check)


_run = run  # importing the package of that name puts it in the function's place; it hands calls on to this
