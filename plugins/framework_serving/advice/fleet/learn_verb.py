"""What the verb `learn-adapters` does: the data set, the model, and its errors on populations held out whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from framework.configuration.composition import batch_backend, compose
from framework.configuration.study_config import resolved
from framework.contracts import BatchBackend, Json
from framework.errors import UserError
from framework.report.terminal.progress_bars import progress_bar
from framework.report.terminal.terminal_tables import print_note, print_table
from framework.run.rebuild import stored_settings
from framework_serving.advice.capacity.capacity_data import make_data
from framework_serving.advice.capacity.capacity_learning import fit, learning_rows
from framework_serving.advice.capacity.capacity_losses import loss_table, losses
from framework_serving.advice.capacity.capacity_scores import (
    held_out_answers,
    learner_table,
    score,
    score_table,
)
from framework_serving.advice.capacity.small_tree import tree_figure, tree_lines

FOLDER = "adapter_capacity"
DATA, MODEL, DRAWING = "populations.jsonl", "model.json", "tree.html"


def composed_engine(simulate_with: str, overrides: Sequence[str]) -> tuple[BatchBackend, dict[str, Json]]:
    """Return a batch backend and all settings of the engine that overrides compose.

    Raises:
        ConfigError: no such option, or a backend without batch call.
    """
    words = [*overrides, "backend.sample_period_s=null"]
    backend = batch_backend(simulate_with, words)
    config = resolved(compose([f"backend={simulate_with}", *words]), True)
    return backend, stored_settings(config)


def run_learn(
    overrides: Sequence[str],
    populations: int,
    first: int,
    workers: int,
    check: int,
    simulate_with: str,
    outputs: Path,
) -> int:
    """Make what is missing of the data set, learn, print the errors, keep the model.

    Raises:
        UserError: an engine that can't serve adapters, too few populations; one line.
    """
    from framework.report.html.rendering import figure_page

    if populations < 1 or workers < 1 or first < 0 or check < 0:
        raise UserError("--populations and --workers must be at least 1, --first and --check at least 0")
    backend, settings = composed_engine(simulate_with, overrides)
    _check_engine(settings)
    folder = outputs / FOLDER
    with progress_bar("simulating populations") as show:
        data = make_data(
            backend, settings, folder / DATA, range(first, first + populations), show, workers=workers
        )
    learned = learning_rows(data)
    model = fit(data, learned)
    answers = held_out_answers(data, learned)
    measured = losses(data, learned, backend, settings, check)
    errors = {**model.errors, **score(answers), **measured.summary()}
    model = replace(model, errors=errors)
    model.save(folder / MODEL)
    print_table(learner_table(data, learned))
    print_table(score_table(answers))
    if measured.found:
        print_table(loss_table(measured))
    print("\n".join(["a small tree of the same rows:", *tree_lines(model.tree)]))
    drawing = folder / DRAWING
    drawing.write_text(figure_page(tree_figure(model.tree)), encoding="utf-8")
    engines = sorted(f"{item.model} on {item.gpu}" for item in data.probes.values())
    seconds = sum(example.seconds for example in data.examples)
    print_note(
        f"{len(data.examples)} populations on {', '.join(engines)}: {seconds:,.0f} s of processor time; "
        f"data {data.content_hash}; model in {folder / MODEL}, the small tree drawn in {drawing}"
    )
    return 0


def _check_engine(settings: Mapping[str, Json]) -> None:
    for group in ("model", "gpu"):
        if not (settings.get(group) or {}).get("name"):
            raise UserError(f"{group}: not chosen; add {group}=NAME")
