"""Verbs on populations of adapters; what they need is imported when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_verbs(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("learn-adapters")(learn_adapters)


def learn_adapters(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="The engine, as overrides: model=, gpu=, backend.KEY=, +experiment=."),
    ] = None,
    populations: Annotated[int, typer.Option(help="Populations to simulate on this engine.")] = 120,
    first: Annotated[
        int, typer.Option(help="Number of the first population; the same number is the same.")
    ] = 0,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
    check: Annotated[
        int, typer.Option(help="Populations on which the loss against the exact search is measured too.")
    ] = 0,
    simulate_with: Annotated[str, typer.Option(help="Batch backend that simulates.")] = "twin",
    outputs: Annotated[
        Path, typer.Option(help="Outputs folder; the data set and the model go to its adapter_capacity/.")
    ] = Path("outputs"),
) -> int:
    """Learn how many LoRA adapters an engine serves, from simulated populations; what was simulated is kept.

    Used by advisor.adapter_caching.method=learned and by the verb place. Repeat it to go on, or with another engine
    to add that one.

    Example: python -m framework learn-adapters model=llama-3.1-8b gpu=h100-64gb backend.max_num_seqs=2048
    """
    from framework_serving.advice.fleet.learn_verb import run_learn

    return run_learn(overrides or [], populations, first, workers, check, simulate_with, outputs)
