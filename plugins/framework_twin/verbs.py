"""The twin's verbs; what they need is imported when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_verbs(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command()(validate)
    app.command()(calibrate)
    app.command()(support)


def validate(
    source: Annotated[
        str, typer.Argument(help="Table of measured runs (CSV, .gz too), or experiment or run in the store.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write the prediction of every row to this CSV file.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the error summary to this JSON file.")] = None,
    cross_validate: Annotated[
        bool, typer.Option(help="Also refit without each family, for held-out errors; takes minutes.")
    ] = False,
    outputs: Annotated[Path, typer.Option(help="Outputs folder with the store.")] = Path("outputs"),
) -> int:
    """Predict measured or imported runs with the twin and print the error by metric, family and regime.

    Example: python -m framework validate serving_runs_calibration.csv.gz --out predictions.csv
    """
    from framework_twin.validation.validate_verb import run_validate

    return run_validate(source, out, json, cross_validate, str(outputs))


def support(
    model: Annotated[
        str, typer.Argument(help="A model: option of the group model, hub id, or folder with config.json.")
    ],
    gpu: Annotated[str, typer.Argument(help="A GPU: option of the group gpu.")],
    tensor_parallel: Annotated[int, typer.Option(help="GPUs that share every layer.")] = 1,
) -> int:
    """Say what can be predicted for a model on a GPU: which provider, on what evidence, with what error.

    Example: python -m framework support Qwen/Qwen3-8B b200
    """
    from framework_twin.validation.support_verb import run_support

    return run_support(model, gpu, tensor_parallel)


def calibrate(
    sources: Annotated[
        list[str], typer.Argument(help="Tables of measured runs (CSV, .gz too) or experiments in the store.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write profiles. Default: OUTPUTS/profiles, which backend=twin searches."),
    ] = None,
    cross_validate: Annotated[
        bool, typer.Option(help="Also refit without each family of runs: held-out errors and intervals.")
    ] = False,
    outputs: Annotated[Path, typer.Option(help="Outputs folder with the store.")] = Path("outputs"),
) -> int:
    """Fit twin profiles from measured runs; backend=twin finds them by model and GPU, or takes backend.profile=FILE.

    Example: python -m framework calibrate runs.csv.gz --out profiles --cross-validate
    """
    from framework_twin.calibration.calibrate_verb import run_calibrate

    return run_calibrate(sources, out, cross_validate, str(outputs))
