"""Fit the engine's own work, release by release, to a table of published runs; with whole groups left out.

    python benchmarks/engine_work_fit.py foreign_runs.csv.gz                        # writes engine_work.json
    python benchmarks/engine_work_fit.py foreign_runs.csv.gz --held-out held_out.csv

The order of steps does not depend on how long they take, so a run's metrics are linear in the work's terms:
each run is simulated once a term, at numbers that no run was used for (`NEUTRAL`), and every fit is a small
problem from there. With `--held-out`, every source, accelerator and model is left out once and its rows are
predicted (simulated again) by the fit to the others; the file takes scheme, run, metric, measured, predicted.
Where a source is left out, no run of its release remains, and the release of `STAND_IN` predicts it.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from framework.errors import UserError
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_twin.measured.published_prediction import (
    deployment_of,
    predict_published,
    release_of_run,
    shows_images,
    typed_shape,
)
from framework_twin.measured.published_table import PublishedRun, PublishedSetup, read_published_runs
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.engine_work import WORK_FILE, EngineWork

Floats = npt.NDArray[np.float64]

FREE: Mapping[str, tuple[str, ...]] = {
    "v0": (
        *("host_s", "reduction_s", "sequence_s", "context_s", "prompt_step_s", "attend", "kernels_ampere"),
    ),
    "v0-server": ("host_s", "spread_s", "sequence_s", "sampler_s"),
    "v0-cdna2": ("host_s", "parallel_s", "sequence_s"),
    "v0-cdna3": ("parallel_s", "prompt_step_s"),
    "v0-xe-hpc": ("sequence_s",),
    "v1-0.11": (
        *("host_s", "sequence_s", "sampler_s", "prompt_step_s", "expert_layer_s"),
        *("fp8_layer_s", "kernels_blackwell", "kernels_mxfp4_blackwell", "data_s"),
    ),
    "v1": (
        *("host_s", "sequence_s", "prompt_layer_s", "expert_layer_s", "fp8_layer_s"),
        "front_end_s",
    ),
}
"""Release to the numbers that its runs determine; the others stay at their physical value (0, or a factor of 1)."""
STAND_IN = {"v0": "v0-server", "v0-server": "v0", "v1-0.11": "v1", "v1": "v1-0.11"}
NEUTRAL = EngineWork(
    host_s=1e-3,
    parallel_s=1e-3,
    spread_s=5e-3,
    reduction_s=1e-5,
    data_s=5e-3,
    sequence_s=3e-5,
    sampler_s=1e-10,
    context_s=5e-9,
    prompt_step_s=1e-2,
    prompt_layer_s=1.5e-4,
    expert_layer_s=1e-5,
    fp8_layer_s=1e-5,
    front_end_s=1e-2,
    tail=0.0124,
)
"""Orders of magnitude, from no prediction: where fits start, and their unit. `tail` follows from measured figures
alone (`tail_of`), since the batch that is simulated depends on it."""
_TERMS = {
    "host_s": 1e-3,
    "sequence_s": 2e-5,
    "context_s": 1e-8,
    "prompt_step_s": 5e-3,
    "kernels": 0.05,
    "attend": 0.1,
}
"""What a step's time is linear in, and the change that the slope is measured with."""
_TIMES = ("duration_s", "tpot_mean_ms", "itl_p50_ms", "seconds_a_token", "ttft_mean_ms")
_PRIOR, _SOFT = 0.02, 0.05


@dataclass(frozen=True)
class Known:
    """A run with the slopes of its metrics.

    Attributes:
        values: metric to measured value, predicted one without any work, and slopes over `_TERMS`.
    """

    run: PublishedRun
    release: str
    shape: ModelShape
    gpu: GpuSpec
    spread: Deployment
    values: Mapping[str, tuple[float, float, Floats]]

    def terms(self, work: EngineWork) -> Floats:
        """Return the terms of this run's deployment."""
        shape = self.shape
        return np.array(
            [
                work.host(shape, self.spread),
                work.sequence_s + work.sampling_s(shape),
                work.context_s,
                work.prompts(shape),
                work.kernel_factor(shape, self.gpu),
                work.attend,
            ]
        )

    def errors(self, work: EngineWork) -> list[float]:
        """Return logarithmic errors of the measured times."""
        terms = self.terms(work)
        found = []
        for name, (measured, base, slopes) in self.values.items():
            first = name == "ttft_mean_ms"
            at = base + slopes @ terms + 1e3 * work.front_end_s * first
            found.append((0.5 if first else 1.0) * float(np.log(max(at, 1e-6) / measured)))
        return found


def known(run: PublishedRun) -> Known | None:
    """Return a run's slopes, or None for one that teaches nothing: see `teaches`."""
    if not teaches(run.setup):
        return None
    try:
        release = release_of_run(run.setup)
        start = replace(
            NEUTRAL,
            **dict.fromkeys(
                ("parallel_s", "spread_s", "reduction_s", "expert_layer_s", "fp8_layer_s", "prompt_layer_s"),
                0.0,
            ),
        )
        start = replace(start, front_end_s=0.0, sampler_s=0.0, data_s=0.0)
        if release != "v0-server":
            start = replace(start, tail=0.0)
        base = _metrics(run, start)
        moved = [
            _metrics(run, replace(start, **{name: getattr(start, name) + step}))
            for name, step in _TERMS.items()
        ]
    except UserError:
        return None
    at = np.array([getattr(start, name) for name in _TERMS])
    values = {}
    for name, value in base.items():
        slopes = np.array(
            [(other[name] - value) / step for other, step in zip(moved, _TERMS.values(), strict=True)]
        )
        measured = run.measured.get(name, 0.0)
        if name == "seconds_a_token":
            speed = run.measured.get("output_tok_s", 0.0)
            measured = 1.0 / speed if speed > 0 else 0.0
        if measured > 0:
            values[name] = (measured, float(value - slopes @ at), slopes)
    setup = run.setup
    gpu = gpu_spec(setup.gpu)
    shape = typed_shape(model_shape(setup.model), setup, gpu)
    return Known(run, release, shape, gpu, deployment_of(setup), values) if values else None


def _metrics(run: PublishedRun, work: EngineWork) -> dict[str, float]:
    values = predict_published(run.setup, work=work).values
    found = {name: value for name, value in values.items() if name in _TIMES}
    if "itl_p50_ms" in values:
        found["seconds_a_token"] = 1.0 / values["output_tok_s"]
    return found


def teaches(setup: PublishedSetup) -> bool:
    """Return whether a run's figures agree with its own setup, and the physics knows what it did."""
    if setup.gpus is None or (setup.load == "closed_loop" and setup.concurrency >= 512):
        return False
    starved = shows_images(setup) or "Nemotron" in setup.model
    return not (setup.gpu == "B200" and starved)  # bound by the host


def fit(runs: Sequence[Known], release: str) -> EngineWork:
    """Return the work that fits a release's runs best; every model on an accelerator counts alike."""
    names = FREE[release]
    empty = EngineWork(0.0, data_s=NEUTRAL.data_s, tail=NEUTRAL.tail if release == "v0-server" else 0.0)
    unit = np.array([getattr(NEUTRAL, name) for name in names])
    groups = Counter((item.run.setup.model, item.run.setup.gpu, item.run.setup.tensor) for item in runs)
    weights = [
        groups[item.run.setup.model, item.run.setup.gpu, item.run.setup.tensor] ** -0.5 for item in runs
    ]

    def work_at(point: Floats) -> EngineWork:
        return replace(empty, **dict(zip(names, map(float, point * unit), strict=True)))

    def residuals(point: Floats) -> Floats:
        work = work_at(point)
        out = list(_PRIOR * (point - 1.0))  # what no run determines stays
        for weight, item in zip(weights, runs, strict=True):
            out += [weight * error for error in item.errors(work)]
        return np.array(out)

    start = np.ones(len(names))
    found = least_squares(residuals, start, bounds=(0, np.inf), loss="soft_l1", f_scale=_SOFT, max_nfev=40)
    points = np.where(found.x < 1e-6, 0.0, found.x)  # the solver stays a hair inside its bounds
    rounded = {name: float(f"{number:.3g}") for name, number in zip(names, points * unit, strict=True)}
    return replace(empty, **rounded)


def tail_of(runs: Sequence[Known]) -> float:
    """Return the share of requests missing from a whole run's batch, from measured figures alone."""
    shares = []
    for item in runs:
        setup, measured = item.run.setup, item.run.measured
        if setup.running and measured.get("output_tok_s", 0) > 0 and measured.get("tpot_mean_ms", 0) > 0:
            present = measured["output_tok_s"] * measured["tpot_mean_ms"] / 1e3
            shares.append((setup.running / present - 1.0) * setup.output_tokens**0.5 / setup.running)
    return float(f"{np.median(shares):.3g}") if shares else 0.0


SCHEMES: Mapping[str, Callable[[PublishedSetup], str]] = {
    "source": lambda setup: setup.source,
    "gpu": lambda setup: setup.gpu,
    "model": lambda setup: setup.model,
    "group": lambda setup: f"{setup.source} {setup.model} {setup.gpu}",
}


_known: list[Known] = []
"""What a worker process fits to, handed over once."""


def _hand_over(items: list[Known]) -> None:
    _known.extend(items)


def fit_without(scheme: str, left: str) -> dict[str, EngineWork]:
    """Return release → work fitted to the runs outside a group, of the releases that the group has runs of.

    A release without other runs takes its stand-in's work, fitted to runs outside the group as well.
    """
    found: dict[str, EngineWork] = {}
    outside = [item for item in _known if SCHEMES[scheme](item.run.setup) != left]
    releases = {item.release for item in _known if SCHEMES[scheme](item.run.setup) == left}
    for release in releases | {STAND_IN[name] for name in releases if name in STAND_IN}:
        of = [item for item in outside if item.release == release]
        if of:
            found[release] = fit(of, release)
    for release, other in STAND_IN.items():
        if release not in found and other in found:
            found[release] = found[other]
    return found


def _predicted(job: tuple[PublishedRun, EngineWork | None]) -> dict[str, float]:
    run, work = job
    try:
        return dict(predict_published(run.setup, work=work or NEUTRAL).values)
    except UserError:
        return {}


def held_out_rows(
    runs: Sequence[PublishedRun], pool: ProcessPoolExecutor
) -> Iterable[tuple[str, str, str, float, float]]:
    """Yield scheme, run, metric, measured, predicted of every run with its own group left out."""
    for scheme, group_of in SCHEMES.items():
        groups = sorted({group_of(run.setup) for run in runs})
        works = dict(zip(groups, pool.map(fit_without, [scheme] * len(groups), groups), strict=True))
        jobs = [(run, works[group_of(run.setup)].get(release_of_run(run.setup))) for run in runs]
        for run, values in zip(runs, pool.map(_predicted, jobs, chunksize=30), strict=True):
            for name, value in values.items():
                if run.measured.get(name, 0) > 0:
                    yield scheme, run.setup.run_id, name, run.measured[name], value


def main() -> None:
    """Fit every release, or leave groups out."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--held-out", type=Path)
    arguments = parser.parse_args()
    runs, _ = read_published_runs(arguments.table)
    with ProcessPoolExecutor() as pool:
        items = [item for item in pool.map(known, runs, chunksize=20) if item is not None]
    if arguments.held_out:
        with ProcessPoolExecutor(initializer=_hand_over, initargs=(items,)) as pool:
            with arguments.held_out.open("w", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(("scheme", "run_id", "metric", "measured", "predicted"))
                writer.writerows(held_out_rows(runs, pool))
            return
    print("tail", tail_of([item for item in items if item.release == "v0-server"]))
    plain = asdict(EngineWork(0.0))
    content = {}
    for release in FREE:
        work = asdict(fit([item for item in items if item.release == release], release))
        content[release] = {name: value for name, value in work.items() if value != plain[name]}
        print(release, content[release], flush=True)
    WORK_FILE.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
