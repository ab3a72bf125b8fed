"""Where the numbers of a report come from: a short table, and all recorded facts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from framework.analysis.number_format import count_noun
from framework.contracts import TableBlock
from framework.report.overview import ProvenanceItem

_SHORT = (
    ("git.commit", "code"),
    ("git.dirty_hash", "uncommitted changes"),
    ("packages.set_hash", "packages"),
    ("packages.python", "Python"),
    ("host.name", "host"),
    ("host.cpu", "CPU"),
    ("gpu", "GPU"),
    ("slurm.job_id", "SLURM job"),
    ("command_line", "command"),
)
_ALWAYS = frozenset({"git.commit", "command_line", "host.name", "gpu", "packages.set_hash"})
_SHOWN_VALUES = 3


def short_provenance(items: Sequence[ProvenanceItem]) -> TableBlock:
    """Return what identifies the code, the packages, the machine and the command."""
    by_name = {item.name: item.values for item in items}
    rows = []
    for name, label in _SHORT:
        values = by_name.get(name, ())
        if name == "gpu":
            values = tuple((_gpu_names(value), runs) for value, runs in values)
        if name in _ALWAYS or values:
            rows.append((label, _short_values(values)))
    return TableBlock("Where these numbers come from", ("what", "value"), rows)


def full_provenance(items: Sequence[ProvenanceItem]) -> TableBlock:
    """Return every recorded fact."""
    return TableBlock(
        "Provenance", ("name", "value"), [(item.name, _short_values(item.values)) for item in items]
    )


def _gpu_names(value: str) -> str:
    """Return `2 × NAME` for the recorded list of GPUs, and `none visible` for an empty one."""
    try:
        names = Counter(str(gpu["name"]) for gpu in json.loads(value))
    except (ValueError, TypeError, KeyError):
        return value
    return ", ".join(f"{count} × {name}" for name, count in names.items()) or "none visible"


def _short_values(values: Sequence[tuple[str, int]]) -> str | None:
    known = [(value, runs) for value, runs in values if value]
    if len(known) < 2:
        return known[0][0] if known else None
    shown = "; ".join(f"{value} ({count_noun(runs, 'run')})" for value, runs in known[:_SHOWN_VALUES])
    more = len(known) - _SHOWN_VALUES
    return f"{shown}; and {more} more" if more > 0 else shown
