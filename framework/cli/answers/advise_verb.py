"""The verb `advise`: which setting to use, how sure that is, and what to paste."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def advise(
    maximise: Annotated[
        str | None, typer.Option(help="Metric to make as large as possible, e.g. output_tok_s.")
    ] = None,
    minimise: Annotated[
        str | None, typer.Option(help="Metric to make as small as possible, e.g. energy_j_per_token.")
    ] = None,
    slo: Annotated[
        list[str] | None,
        typer.Option(help="Limit: NAME=V (on the worse side), 'NAME<=V' or 'NAME>=V'; may be repeated."),
    ] = None,
    budget: Annotated[
        list[str] | None, typer.Option(help="Limit on what may be spent, e.g. power_mean_w=400; as --slo.")
    ] = None,
    per: Annotated[
        str | None,
        typer.Option(
            help="Divide the objective by the number of these, e.g. gpu (the setting gpus; unset: 1)."
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Parameter whose values have an answer each, e.g. gpu; may be repeated."),
    ] = None,
    mix_workloads: Annotated[
        bool, typer.Option("--mix-workloads", help="Compare settings of different workloads too.")
    ] = False,
    mix_models: Annotated[
        bool,
        typer.Option("--mix-models", help="Let the model be chosen too: compare settings of all models."),
    ] = False,
    source: Annotated[
        list[str] | None,
        typer.Option("--from", help="Experiment, sweep or run; may be repeated. Default: all runs."),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Run what the advisors said again, with another seed too.")
    ] = False,
    running: Annotated[
        Path | None,
        typer.Option(help="Deployment that runs (YAML): what has become wrong with it, and what to set?"),
    ] = None,
    log: Annotated[Path | None, typer.Option(help="With --running: log of its requests.")] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(help="With --running: URL of a server's metrics; may be repeated, in its order."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="With --metrics: how long they are read.")] = 30.0,
    out: Annotated[
        Path | None, typer.Option(help="With --running: write the deployment that is better now.")
    ] = None,
    outputs: Annotated[
        Path, typer.Option(help="Outputs folder with the run bundles and the database.")
    ] = Path("outputs"),
) -> int:
    """Say which setting to use: what it gives, what it beats, what would change the answer, what to paste.

    Model and workload are given: each has an answer of its own. All else is a setting, and is chosen.
    Without an objective: what the advisors said of these runs. With --running: whether what runs is still right.

    Example: python -m framework advise --maximise output_tok_s --slo ttft_p99_ms=500 --slo itl_p99_ms=50
    """
    from framework.cli.answers.advice_text import show_advice, show_answer
    from framework.cli.answers.deployed_check import check_deployed
    from framework.contracts import Deployed
    from framework.errors import UserError

    if running is not None:
        if maximise or minimise or slo or budget or per or by or source:
            raise UserError(
                "--running: a deployment is compared with its load; an objective or --from is another question"
            )
        return check_deployed(Deployed(running, log, metrics or [], seconds, out, outputs))
    if log or metrics or out:
        raise UserError("--log, --metrics and --out: of which deployment? give --running FILE")
    if maximise and minimise:
        raise UserError("either --maximise or --minimise, not both; the other can be a limit (--slo)")
    names, limits = source or [], [*(slo or []), *(budget or [])]
    if not maximise and not minimise:
        if limits or per or by:
            raise UserError("which metric? give --maximise METRIC or --minimise METRIC")
        return show_advice(names, outputs, must=True, run=run)
    if run:
        raise UserError("--run: follows what advisors said; it takes no objective")
    objective = f"{maximise}:higher" if maximise else f"{minimise}:lower"
    show_answer(objective, limits, per, by or [], names, outputs, mix_workloads, mix_models)
    return show_advice(names, outputs, must=False)
