"""What the jobs of a sweep spend beside their runs, and the setting that saves it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from itertools import islice
from statistics import median

from framework.errors import StoreError
from framework.store.bundles.bundle import read_manifest
from framework.store.layout import runs_folder

_FEWEST, _MOST_READ = 5, 100
_MOST_TOGETHER = 20  # what is left of a start, shared by 20 runs, is small beside what any run takes


def start_up_hint(outputs: str, lives_s: Mapping[str, float]) -> str | None:
    """Return a line if a job took longer to start than to run; None if not, or if few runs say so.

    Args:
        outputs: the outputs folder.
        lives_s: how many seconds the process of a job lived, by the one run that it carried out.
    """
    runs_s, starts_s = [], []
    for run_id, lived_s in islice(lives_s.items(), _MOST_READ):
        with suppress(StoreError):  # a run that can't be read is named elsewhere; a hint does without it
            record = read_manifest(runs_folder(outputs) / run_id).record
            ended = datetime.fromisoformat(record.finished_at or record.started_at)
            runs_s.append((ended - datetime.fromisoformat(record.started_at)).total_seconds())
            starts_s.append(lived_s - runs_s[-1])
    if len(runs_s) < _FEWEST or median(starts_s) <= median(runs_s):
        return None
    start_s, run_s = median(starts_s), median(runs_s)
    together = min(_MOST_TOGETHER, math.ceil(10 * start_s / max(run_s, 1e-3)), len(lives_s))
    return (
        f"a job took {start_s:.1f} s to start and {run_s:.2g} s to run (medians of {len(runs_s)}): "
        f"hydra.launcher.runs_per_job={together} starts once for {together} runs"
    )
