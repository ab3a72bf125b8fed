"""What comes of following advice: the advised point run again, with other random numbers too."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework.analysis.number_format import format_value
from framework.store.database.reader import Store


def follow(advice: Mapping[str, Any], study: str, outputs: Path) -> int:
    """Run an advised point with its own seed, if that is not done, and with the next; print what it gave.

    Args:
        advice: a row of the table `advice`.
        study: overrides that compose the point.
        outputs: folder with the run bundles and the database.

    Returns:
        The study's exit status.
    """
    from hydra.core.global_hydra import GlobalHydra

    from framework.cli.study_command import run_study

    before = {row["run_id"] for row in Store(outputs).query("SELECT run_id FROM runs").to_pylist()}
    GlobalHydra.instance().clear()
    words = [*shlex.split(study), "repeats=2", "advisor=[]", f"outputs_dir={shlex.quote(str(outputs))}"]
    status = run_study(words)
    found = Store(outputs).query(
        "SELECT run_id, value FROM metrics JOIN runs USING (run_id) WHERE metrics.name = ? ORDER BY started_at",
        [advice["metric"]],
    )
    gave = [row for row in found.to_pylist() if row["run_id"] not in before and row["value"] is not None]
    shown = ", ".join(format_value(row["value"]) for row in gave)
    subject = advice["subject"] or advice["experiment"]
    print(
        f"{subject}: advised for {advice['metric']} {format_value(advice['predicted'])}, "
        f"it gave {shown or 'nothing new: it ran with both seeds before'}"
    )
    return status
