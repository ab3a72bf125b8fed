"""The twin's energy model against measured runs, calibrated and from the datasheet alone.

    python benchmarks/energy_error.py ../shared/data/serving_runs_calibration.csv.gz

For every clean online run that measured power: mean power, throughput and joules per input + output token, each
predicted from the run's configuration. Twice: by the shipped profile of its model (in-sample, since the profile was
fitted on these runs) and by the roofline with datasheet power, which is what a model without a profile gets. The
roofline's efficiencies are rounded medians over the same profiles: its error is that of an unseen model of a kind
that was seen. Pairs of repeats show the scatter of the measurement itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.measured.measured_runs import MeasuredRun, RunSetup, read_measured_runs
from framework_twin.measured.run_prediction import predict_run
from framework_twin.physics.adapter_loads import UNCALIBRATED_LOADS
from framework_twin.physics.power import datasheet_power
from framework_twin.physics.profile import StepModel, step_model
from framework_twin.physics.roofline import roofline

QUANTITIES = ("mean power", "throughput", "J/token")


@dataclass(frozen=True)
class Compared:
    """One run: model, and predicted over measured power, throughput and joules per token."""

    model: str
    ratios: tuple[float, float, float]


def calibrated(setup: RunSetup) -> StepModel:
    """Return the physics that the twin takes by default."""
    return step_model(setup.model, setup.gpu, setup.generation, engine=setup.engine, dtype="auto")


def uncalibrated(setup: RunSetup) -> StepModel:
    """Return the physics of a model that has no profile."""
    shape, gpu = model_shape(setup.model), gpu_spec(setup.gpu)
    law = roofline(shape, gpu, setup.generation, attention_backend=setup.attention_backend)
    return StepModel(law, UNCALIBRATED_LOADS, datasheet_power(shape, gpu), None)


def compare(runs: Sequence[MeasuredRun], physics: Callable[[RunSetup], StepModel]) -> list[Compared]:
    """Predict the runs and return the ratios to what was measured."""
    found = []
    for run in runs:
        values = predict_run(run.setup, physics(run.setup)).values
        power = values["power_mean_w"] / run.measured["measured_power_mean_w"]
        rate = values["total_tok_s"] / run.measured["measured_total_tok_s"]
        found.append(Compared(run.setup.model, (power, rate, power / rate)))
    return found


def print_errors(title: str, found: Sequence[Compared]) -> None:
    """Print MAPE, median, 90th percentile and worst error, %, and the bias by model."""
    errors = 100 * np.abs(np.array([item.ratios for item in found]) - 1)
    print(f"\n{title}: {len(found)} runs")
    print(f"{'':12}{'MAPE':>8}{'median':>8}{'p90':>8}{'worst':>8}{'within 10 %':>13}{'within 12 %':>13}")
    for place, name in enumerate(QUANTITIES):
        own = errors[:, place]
        figures = (own.mean(), np.median(own), np.percentile(own, 90), own.max())
        shares = (100 * np.mean(own <= 10), 100 * np.mean(own <= 12))
        print(
            f"{name:12}"
            + "".join(f"{value:8.1f}" for value in figures)
            + f"{shares[0]:13.0f}{shares[1]:13.0f}"
        )
    for model in sorted({item.model for item in found}):
        own = np.array([item.ratios for item in found if item.model == model])
        bias = 100 * (np.median(own, axis=0) - 1)
        print(
            f"  {model:14} median bias: "
            + ", ".join(f"{n} {v:+.1f}" for n, v in zip(QUANTITIES, bias, strict=True))
        )


def main() -> None:
    """Read the table, predict twice, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    runs, _ = read_measured_runs(parser.parse_args().file)
    usable = [
        run
        for run in runs
        if run.clean and "measured_power_mean_w" in run.measured and "measured_total_tok_s" in run.measured
    ]
    print_errors("Calibrated profiles, in-sample", compare(usable, calibrated))
    print_errors("Roofline and datasheet power", compare(usable, uncalibrated))


if __name__ == "__main__":
    main()
