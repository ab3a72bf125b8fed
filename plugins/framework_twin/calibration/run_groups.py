"""Profiles from measurements of any kind: one for each model, GPU and engine that they hold."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from framework.contracts import StoreReader
from framework_twin.calibration.cross_validation import fit_group
from framework_twin.calibration.profile_fit import ProfileLabel, fit_profile
from framework_twin.measured.measured_runs import BadRow, MeasuredRun, read_measured_runs
from framework_twin.measured.stored_runs import MeasuredSteps, stored_runs, stored_steps
from framework_twin.physics.profile import TwinProfile, find_profile, write_profile

_NOT_IN_FILE_NAMES = re.compile(r"[^\w.+-]")

Group = tuple[str, str, str, str]
"""Model, GPU, engine generation, engine version: what one profile covers."""


@dataclass
class Measurements:
    """What a fit can use, and what it can't use, with the reason."""

    runs: list[MeasuredRun] = field(default_factory=list)
    steps: list[MeasuredSteps] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)

    def groups(self) -> dict[Group, Measurements]:
        """Return the measurements by what one profile covers."""
        found: dict[Group, Measurements] = defaultdict(Measurements)
        for run in self.runs:
            found[fit_group(run.setup)].runs.append(run)
        for steps in self.steps:
            found[fit_group(steps)].steps.append(steps)
        return dict(sorted(found.items()))


def measurements_of(
    store: StoreReader, experiment: str, run_ids: Sequence[str] | None = None
) -> Measurements:
    """Return what an experiment in the store measured (of these runs, if given).

    Raises:
        InputError: the experiment has no finished run.
    """
    runs, bad = stored_runs(store, experiment, run_ids)
    return Measurements(runs, stored_steps(store, experiment, run_ids), bad)


def measurements_in(file: Path) -> Measurements:
    """Return the runs of a table. Raises `InputError` for one that can't be read."""
    runs, bad = read_measured_runs(file)
    return Measurements(runs, [], bad)


@dataclass(frozen=True)
class Fitted:
    """A profile, where it was written, and what it was fitted to."""

    profile: TwinProfile
    path: Path
    group: Group
    measurements: Measurements


def fit_groups(
    measurements: Measurements, folder: Path, *, leave_families_out: bool = False
) -> Iterator[Fitted | str]:
    """Fit and write one profile a group into `folder`; a group without a usable measurement is named instead."""
    for group, own in measurements.groups().items():
        model, gpu, generation, engine = group
        name = _NOT_IN_FILE_NAMES.sub(
            "-", "_".join(filter(None, (model, gpu.lower(), generation, engine.split(" ")[-1])))
        )
        if not own.steps and not any(run.clean for run in own.runs):
            yield f"{name}: no clean run, no profile"
            continue
        shipped = find_profile(model, gpu, generation, engine=engine)
        label = ProfileLabel(name, (model,), engine=engine, loads=shipped.loads if shipped else None)
        profile = fit_profile(label, own.runs, steps=own.steps, leave_families_out=leave_families_out)
        path = folder / f"{name}.yaml"
        write_profile(profile, path)
        yield Fitted(profile, path, group, own)
