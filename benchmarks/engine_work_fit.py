"""Fit the engine's own work, release by release, to a table of published runs; with whole models left out.

    python benchmarks/engine_work_fit.py foreign_runs.csv.gz [--held-out held_out.csv]

Prints the fitted numbers of each release (`ENGINE_WORK`). With `--held-out`, every model is left out once (in four
folds of models) and its rows are predicted by the fit to the others; the file takes run, metric, measured, predicted.
"""

from __future__ import annotations

import argparse
import csv
import logging
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from framework.errors import UserError
from framework_twin.measured.published_prediction import predict_published, release_of_run
from framework_twin.measured.published_table import PublishedRun, read_published_runs
from framework_twin.physics.uncalibrated.engine_work import ENGINE_WORK, EngineWork

FREE = {
    "v0": ("host_s", "parallel_s", "sequence_s", "prompt_step_s"),
    "v0-server": ("spread_s", "sequence_s", "root_sequence_s", "kernels"),
    "v0-cdna2": ("host_s", "parallel_s", "sequence_s"),
    "v0-cdna3": ("parallel_s", "prompt_step_s"),
    "v0-xe-hpc": ("sequence_s",),
    "v1-0.11": (
        "host_s",
        "sequence_s",
        "prompt_step_s",
        "expert_layer_s",
        "data_s",
        "kernels",
        "kernels_experts",
        "kernels_fp8_experts",
    ),
    "v1": (
        "host_s",
        "sequence_s",
        "prompt_step_s",
        "expert_layer_s",
        "data_s",
        "kernels",
        "kernels_blackwell",
        "kernels_fp8_experts",
        "front_end_s",
        "together",
    ),
}
METRICS = ("duration_s", "tpot_mean_ms", "itl_p50_ms", "output_tok_s", "ttft_mean_ms")
_SCALE = {
    "host_s": 1e-3,
    "sequence_s": 2e-5,
    "root_sequence_s": 1e-3,
    "prompt_step_s": 1e-2,
    "front_end_s": 1e-2,
}
_SCALES = {
    "parallel_s": 1e-3,
    "spread_s": 5e-3,
    "expert_layer_s": 2e-5,
    "data_s": 5e-3,
    "together": 0.1,
    **_SCALE,
}
_ROWS_A_GROUP = 10
_FOLDS = 4
_PRIOR = 0.05


def fit(runs: Sequence[PublishedRun], start: EngineWork, names: Sequence[str]) -> EngineWork:
    """Return the work that fits runs best; errors are logarithms, every model and accelerator counts alike."""
    scales = np.array([_SCALES.get(name, 0.2) for name in names])
    groups: dict[tuple[str, str], int] = defaultdict(int)
    for run in runs:
        groups[run.setup.model, run.setup.gpu] += 1

    def work_at(point: np.ndarray) -> EngineWork:
        return replace(start, **dict(zip(names, map(float, point * scales), strict=True)))

    def residuals(point: np.ndarray) -> np.ndarray:
        work = work_at(point)
        out = list(_PRIOR * np.log((point + 1e-2) / (first + 1e-2)))  # what no run determines stays
        for run in runs:
            weight = groups[run.setup.model, run.setup.gpu] ** -0.5
            values = predict_published(run.setup, work=work).values
            out += [
                weight * np.log(values[name] / run.measured[name]) if run.measured.get(name, 0) > 0 else 0.0
                for name in METRICS
                if name in values and not (name == "output_tok_s" and "itl_p50_ms" not in values)
            ]
        return np.array(out)

    first = np.maximum(1e-3, np.array([getattr(start, name) for name in names]) / scales)
    found = least_squares(
        residuals, first, bounds=(0, np.inf), loss="soft_l1", f_scale=0.05, diff_step=0.03, max_nfev=8
    )
    return work_at(found.x)


def neutral(release: str, names: Sequence[str]) -> EngineWork:
    """Return where a fit with models left out starts: no number that was fitted with them."""
    start = {
        "host_s": 1e-3,
        "sequence_s": 3e-5,
        "root_sequence_s": 1e-3,
        "prompt_step_s": 1e-2,
        "data_s": 1e-2,
    }
    start |= {
        "spread_s": 5e-3,
        "parallel_s": 1e-3,
        "expert_layer_s": 1e-5,
        "front_end_s": 1e-2,
        "together": 0.2,
    }
    return replace(ENGINE_WORK[release], **{name: start.get(name, 1.0) for name in names})


def sampled(runs: Sequence[PublishedRun]) -> list[PublishedRun]:
    """Return at most so many runs of a model on an accelerator, spread over its rows."""
    groups: dict[tuple[str, str, int], list[PublishedRun]] = defaultdict(list)
    for run in runs:
        groups[run.setup.model, run.setup.gpu, run.setup.tensor].append(run)
    chosen = []
    for members in groups.values():
        step = max(1, len(members) // _ROWS_A_GROUP)
        chosen += members[::step][:_ROWS_A_GROUP]
    return chosen


def usable(run: PublishedRun) -> bool:
    """Return whether a run can teach: its GPUs are known, and it can be predicted at all."""
    setup = run.setup
    if setup.gpus is None or (setup.concurrency >= 512 and setup.load == "closed_loop"):
        return False
    if setup.gpu == "B200" and (
        "image" in setup.note or "video" in setup.note
    ):  # bound by the host's vision work
        return False
    try:
        return bool(predict_published(run.setup).values)
    except UserError:
        return False


def fold_of(model: str) -> int:
    """Return the fold that a model is left out in."""
    return zlib.crc32(model.encode()) % _FOLDS


def main() -> None:
    """Fit every release; leave models out where asked."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--held-out", type=Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    runs, _ = read_published_runs(arguments.table)
    by_release: dict[str, list[PublishedRun]] = defaultdict(list)
    for run in runs:
        by_release[release_of_run(run.setup)].append(run)
    rows = []
    for release, names in FREE.items():
        if arguments.only and release not in arguments.only.split(","):
            continue
        known = [run for run in by_release[release] if usable(run)]
        if not arguments.held_out:
            work = fit(sampled(known), ENGINE_WORK[release], names)
            print(release, {name: float(f"{getattr(work, name):.3g}") for name in names}, flush=True)
            continue
        for fold in range(_FOLDS):
            others = [run for run in known if fold_of(run.setup.model) != fold]
            left = [run for run in by_release[release] if fold_of(run.setup.model) == fold]
            start = neutral(release, names)
            work = fit(sampled(others), start, names) if others else start
            print(release, fold, {n: float(f"{getattr(work, n):.3g}") for n in names}, len(left), flush=True)
            for run in left:
                values = predict_published(run.setup, work=work).values
                rows += [
                    (run.setup.run_id, name, run.measured[name], value)
                    for name, value in values.items()
                    if run.measured.get(name, 0) > 0
                ]
    if arguments.held_out:
        with arguments.held_out.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("run_id", "metric", "measured", "predicted"))
            writer.writerows(rows)


if __name__ == "__main__":
    main()
