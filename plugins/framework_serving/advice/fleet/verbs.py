"""Verbs on populations of adapters; what they need is imported when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_verbs(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("learn-adapters")(learn_adapters)
    app.command()(place)


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


def place(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="The engine and, without --adapters, the population: model=, backend.KEY=, workload=."
        ),
    ] = None,
    adapters: Annotated[
        Path | None,
        typer.Option(
            help="CSV, JSON or YAML: adapter, rank, rate_rps; input_tokens, output_tokens and their _std."
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(help="Log of requests instead: arrival, tokens, adapter of each; any trace format."),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            help="URL of an engine's /metrics instead; one for each GPU of --current, in its order."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long --metrics is read.")] = 30.0,
    adapter_column: Annotated[str, typer.Option(help="Column of --log with the adapter.")] = "adapter",
    rank: Annotated[int, typer.Option(help="Rank of adapters of --log that --current does not name.")] = 16,
    gpu: Annotated[
        list[str] | None, typer.Option(help="NAME, NAME=COST or NAME=COST:NUMBER; may be repeated.")
    ] = None,
    current: Annotated[
        Path | None,
        typer.Option(help="Deployment that runs: change it with few moves instead of a new plan."),
    ] = None,
    headroom: Annotated[float, typer.Option(help="Share of the learned capacity to leave free.")] = 0.1,
    simulate_with: Annotated[str, typer.Option(help="Batch backend that simulates each GPU.")] = "twin",
    out: Annotated[Path | None, typer.Option(help="Write the deployment to this YAML file.")] = None,
    outputs: Annotated[Path, typer.Option(help="Outputs folder with the learned model.")] = Path("outputs"),
) -> int:
    """Say which LoRA adapters go on which GPUs: fewest GPUs or least cost, none starving, each GPU simulated.

    Example: python -m framework place model=llama-3.1-8b --adapters adapters.csv --gpu h100-64gb=3.5 --gpu l4=0.8
    """
    from framework_serving.advice.fleet.place_verb import LoadSource, run_place

    source = LoadSource(adapters, log, metrics or [], adapter_column, rank, seconds)
    return run_place(overrides or [], source, gpu or [], current, headroom, simulate_with, out, outputs)
