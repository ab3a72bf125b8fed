"""Fit the power law of each chip generation to published watts and joules; with whole groups left out.

    python benchmarks/power_fit.py foreign_runs.csv.gz serving_runs_calibration.csv.gz     # writes power_shares.json
    python benchmarks/power_fit.py foreign_runs.csv.gz serving_runs_calibration.csv.gz --held-out held_out_watts.csv

Each run is simulated once with the engine's work as it stands (benchmarks/engine_work_fit.py comes first); what its
accelerators do is then held against its watts. `--held-out` leaves every source, accelerator and model out once; a
generation without other runs takes the shares of all generations. The file takes scheme, run, metric, measured,
predicted.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from engine_work_fit import SCHEMES, teaches
from scipy.optimize import least_squares

from framework.errors import UserError
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.measured.measured_runs import MeasuredRun, read_measured_runs
from framework_twin.measured.published_prediction import (
    deployment_of,
    predict_published,
    published_utilisation,
)
from framework_twin.measured.published_table import PublishedRun, read_published_runs
from framework_twin.measured.realise import realise
from framework_twin.measured.run_prediction import server_of
from framework_twin.physics.adapter_loads import UNCALIBRATED_LOADS
from framework_twin.physics.power import activity, datasheet_power
from framework_twin.physics.profile import StepModel
from framework_twin.physics.roofline import roofline
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.power_model import (
    ANY_GENERATION,
    SHARES_FILE,
    PowerShares,
    Utilisation,
    power_shares,
    utilisation,
)

NEUTRAL = PowerShares(0.15, 0.2, 80.0, 0.8, 0.4, 50.0)
"""Orders of magnitude, from no run: where a fit starts, and its unit."""
_PRIOR, _SOFT = 0.02, 0.05


class Watched(NamedTuple):
    """A run with watts of one accelerator; `groups` by scheme; `tok_s` are output tokens per second predicted."""

    run_id: str
    groups: Mapping[str, str]
    measured: Mapping[str, float]
    generation: str
    gpus: int
    limit_w: float
    watts: float
    done: Utilisation
    tok_s: float
    teaches: bool


def watched(run: PublishedRun) -> Watched | None:
    """Return a published run's watts beside what its accelerators do; None without watts."""
    setup, measured = run.setup, run.measured
    gpu, gpus = gpu_spec(setup.gpu), setup.gpus or deployment_of(setup).gpus
    of_all = gpus if setup.load == "steady" else 1
    watts = measured.get("power_mean_w") or (
        measured.get("energy_j_per_output_token", 0.0) * measured.get("output_tok_s", 0.0)
    )
    if not watts:
        return None
    try:
        done = published_utilisation(setup)
        tok_s = predict_published(setup).values.get("output_tok_s", 0.0)
    except UserError:
        return None
    groups = {scheme: group_of(setup) for scheme, group_of in SCHEMES.items()}
    law, limit = gpu.architecture, gpu.tdp_w
    return Watched(
        setup.run_id, groups, measured, law, of_all, limit, watts / of_all, done, tok_s, teaches(setup)
    )


def watched_here(run: MeasuredRun) -> Watched | None:
    """Return the same for a run of the studies that profiles were fitted on, with uncalibrated physics."""
    setup, watts = run.setup, run.measured.get("measured_power_mean_w", 0.0)
    if not run.clean or not watts or setup.replicas > 1 or setup.offline:
        return None
    shape, gpu = model_shape(setup.model), gpu_spec(setup.gpu)
    law = roofline(shape, gpu, setup.generation, attention_backend=setup.attention_backend)
    workload = realise(setup, 0)
    server = server_of(setup, StepModel(law, UNCALIBRATED_LOADS, datasheet_power(shape, gpu), None), workload)
    requests = server.requests(workload)
    did = activity(server.simulate(requests), requests)
    done = utilisation(shape, gpu, Deployment(), did)
    groups = {"source": setup.source, "gpu": setup.gpu, "model": setup.model}
    groups["group"] = f"{setup.source} {setup.model} {setup.gpu}"
    measured = {"power_mean_w": watts}
    return Watched(setup.run_id, groups, measured, gpu.architecture, 1, gpu.tdp_w, watts, done, 0.0, True)


def fit(items: Sequence[Watched]) -> PowerShares:
    """Return the shares that fit runs best; every model on an accelerator counts alike."""

    def group(item: Watched) -> tuple[str, str, int]:
        return item.groups["model"], item.groups["gpu"], item.gpus

    sizes = Counter(group(item) for item in items)
    weights = np.array([sizes[group(item)] ** -0.5 for item in items])
    measured = np.array([item.watts for item in items])
    unit = np.array(list(asdict(NEUTRAL).values()))

    def residuals(point: np.ndarray) -> np.ndarray:
        shares = PowerShares(*point * unit)
        predicted = np.array([shares.watts(item.done, item.limit_w) for item in items])
        return np.concatenate([weights * np.log(predicted / measured), _PRIOR * (point - 1.0)])

    low = np.array([0.15, 0.0, 0.0, 0.0, 0.0, 0.05])
    high = np.array([4.0, np.inf, np.inf, np.inf, 2.5, np.inf])
    found = least_squares(residuals, np.ones(len(unit)), bounds=(low, high), loss="soft_l1", f_scale=_SOFT)
    return PowerShares(*(float(f"{number:.3g}") for number in found.x * unit))


def all_shares(items: Sequence[Watched]) -> dict[str, PowerShares]:
    """Return generation → shares; those of all of them under `ANY_GENERATION`."""
    teaching = [item for item in items if item.teaches]
    found = {ANY_GENERATION: fit(teaching)}
    for generation in sorted({item.generation for item in teaching}):
        found[generation] = fit([item for item in teaching if item.generation == generation])
    return found


def rows(scheme: str, items: Sequence[Watched], shares: dict[str, PowerShares]) -> list[tuple[object, ...]]:
    """Return scheme, run, metric, measured, predicted of runs."""
    out: list[tuple[object, ...]] = []
    for item in items:
        law = shares.get(item.generation, shares[ANY_GENERATION])
        watts = law.watts(item.done, item.limit_w) * item.gpus
        for name, value in (
            ("power_mean_w", watts),
            ("energy_j_per_output_token", watts / item.tok_s if item.tok_s else 0.0),
        ):
            if item.measured.get(name, 0) > 0 and value > 0:
                out.append((scheme, item.run_id, name, item.measured[name], value))
    return out


def main() -> None:
    """Fit every generation, or leave groups out."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("studies", type=Path, help="runs of the studies that profiles were fitted on")
    parser.add_argument("--held-out", type=Path)
    arguments = parser.parse_args()
    runs, _ = read_published_runs(arguments.table)
    own, _ = read_measured_runs(arguments.studies)
    with ProcessPoolExecutor() as pool:
        found = [*pool.map(watched, runs, chunksize=20), *pool.map(watched_here, own, chunksize=5)]
    items = [item for item in found if item is not None]
    if not arguments.held_out:
        content = {name: asdict(shares) for name, shares in all_shares(items).items()}
        SHARES_FILE.write_text(json.dumps(content, indent=1) + "\n")
        power_shares.cache_clear()
        print(json.dumps(content, indent=1))
        return
    with arguments.held_out.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("scheme", "run_id", "metric", "measured", "predicted"))
        for scheme in SCHEMES:
            for group in sorted({item.groups[scheme] for item in items}):
                left = [item for item in items if item.groups[scheme] == group]
                others = [item for item in items if item.groups[scheme] != group]
                writer.writerows(rows(scheme, left, all_shares(others)))


if __name__ == "__main__":
    main()
