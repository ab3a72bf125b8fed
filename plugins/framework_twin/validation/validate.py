"""The twin against a table of measured runs: every row predicted from its configuration alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import chain, groupby

from framework.errors import UserError
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.calibration.intervals import predicted_regime
from framework_twin.measured.measured_runs import BadRow, MeasuredRun, RunSetup
from framework_twin.measured.prediction_error import GroupError, Pair, group_errors, pairs_of
from framework_twin.measured.realise import load_of, realise
from framework_twin.measured.run_prediction import Realise, RunPrediction, predict_run, twin_settings
from framework_twin.physics.physics_choice import choose_physics
from framework_twin.physics.profile import StepModel, step_model
from framework_twin.validation.baselines import NOMINAL, PUBLISHED, nominal_load, published_prediction

Progress = Callable[[int, int], None]

_RUNS_PER_WORKER = 25


@dataclass(frozen=True)
class RowPrediction:
    """The prediction of one row of the table.

    Attributes:
        values: quantity to value, named as the `measured_*` columns without prefix.
        bands: quantity to (low, high), where a profile knows its held-out error.
        profile: name of the profile behind it, empty where the roofline was used.
        warnings: how the run leaves the range the profile was calibrated in.
    """

    setup: RunSetup
    values: Mapping[str, float]
    bands: Mapping[str, tuple[float, float]]
    starved: bool | None
    profile: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """How often a yes/no outcome was predicted rightly."""

    question: str
    right: int
    count: int


@dataclass(frozen=True)
class ValidationReport:
    """Predictions of a table's rows and their errors.

    Attributes:
        rows: one per row that could be predicted, in the order of the table.
        unpredictable: rows without a prediction, each with its reason.
        baselines: name of a simpler predictor to its errors on the same rows.
        inside: metric to (runs inside the 80 % band, runs with a band).
    """

    rows: Sequence[RowPrediction]
    unpredictable: Sequence[BadRow]
    errors: Sequence[GroupError]
    baselines: Mapping[str, Sequence[GroupError]]
    agreements: Sequence[Agreement]
    inside: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def validate_runs(
    runs: Sequence[MeasuredRun],
    bad_rows: Iterable[BadRow] = (),
    *,
    seeds: Sequence[int] | None = None,
    progress: Progress = lambda done, total: None,
) -> ValidationReport:
    """Predict every run from its setup and compare with what was measured."""
    rows: list[RowPrediction] = []
    pairs: list[Pair] = []
    baseline_pairs: dict[str, list[Pair]] = {NOMINAL: [], PUBLISHED: []}
    unpredictable = list(bad_rows)
    predicted_runs: list[MeasuredRun] = []
    for run, outcome in zip(runs, _outcomes(runs, seeds, progress), strict=True):
        if isinstance(outcome, BadRow):
            unpredictable.append(outcome)
            continue
        row, published = outcome
        rows.append(row)
        predicted_runs.append(run)
        pairs += pairs_of(run, row.values)
        baseline_pairs[NOMINAL] += pairs_of(run, nominal_load(run.setup))
        baseline_pairs[PUBLISHED] += pairs_of(run, published)
    return ValidationReport(
        rows=rows,
        unpredictable=sorted(unpredictable, key=lambda bad: bad.row),
        errors=group_errors(pairs),
        baselines={name: group_errors(found) for name, found in baseline_pairs.items() if found},
        agreements=_agreements(predicted_runs, rows),
        inside=_inside(pairs, rows),
    )


_Outcome = tuple[RowPrediction, Mapping[str, float]] | BadRow


def _outcomes(
    runs: Sequence[MeasuredRun], seeds: Sequence[int] | None, progress: Progress
) -> Iterator[_Outcome]:
    """Yield each run's outcome in order, over all cores where there are enough runs to pay for them.

    A run with a defect gets no published prediction, which costs a second simulation: the baselines are compared on
    clean runs, or on all where none is.
    """
    compared = [run.clean for run in runs]
    if not any(compared):
        compared = [True] * len(runs)
    work = partial(_outcomes_of_load, seeds=seeds)
    loads = [list(group) for _, group in groupby(zip(runs, compared, strict=True), _load)]
    workers = min(os.cpu_count() or 1, len(runs) // _RUNS_PER_WORKER)
    if workers < 2:
        yield from _counted(chain.from_iterable(map(work, loads)), len(runs), progress)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from _counted(chain.from_iterable(pool.map(work, loads)), len(runs), progress)


def _load(pair: tuple[MeasuredRun, bool]) -> RunSetup:
    return load_of(pair[0].setup)


def _outcomes_of_load(
    pairs: Sequence[tuple[MeasuredRun, bool]], seeds: Sequence[int] | None
) -> list[_Outcome]:
    """Return the outcomes of runs with the same load: their requests are drawn once."""
    drawn = cache(realise)
    return [
        _outcome(run, compared, seeds, lambda setup, seed: drawn(load_of(setup), seed))
        for run, compared in pairs
    ]


def _counted(outcomes: Iterable[_Outcome], total: int, progress: Progress) -> Iterator[_Outcome]:
    for done, outcome in enumerate(outcomes, start=1):
        progress(done, total)
        yield outcome


def _outcome(run: MeasuredRun, compared: bool, seeds: Sequence[int] | None, drawn: Realise) -> _Outcome:
    setup, known = run.setup, run.workload
    if known is not None:
        drawn, seeds = (lambda setup, seed: known), (0,)
    try:
        row = predict_row(setup, seeds, drawn)
        if not compared:
            return row, {}
        return row, published_prediction(setup, row.values.get("running_mean", 1.0), seeds, drawn)
    except UserError as error:
        return BadRow(setup.row, setup.run_id, str(error))


def predict_row(
    setup: RunSetup, seeds: Sequence[int] | None = None, drawn: Realise = realise
) -> RowPrediction:
    """Predict one run with its profile, or with the roofline where there is none."""
    model = model_of(setup)
    prediction = predict_run(setup, model, seeds, drawn)
    profile = model.profile
    if profile is None:
        by = ("uncalibrated roofline",)
        return RowPrediction(setup, prediction.values, prediction.bands, prediction.starved, "", by)
    bands = dict(prediction.bands)
    for name, (low, high) in profile.bands(predicted_regime(setup, prediction.values)).items():
        if name in prediction.values:
            bands[name] = (low * prediction.values[name], high * prediction.values[name])
    return RowPrediction(
        setup=setup,
        values=prediction.values,
        bands=bands,
        starved=prediction.starved,
        profile=profile.name,
        warnings=tuple(_warnings(setup, prediction, model)),
    )


def model_of(setup: RunSetup) -> StepModel:
    """Return the physics for a run; of a run of the store that which `backend=twin` would take."""
    if setup.source == "store":
        settings = replace(twin_settings(setup), engine_version=setup.engine or None)
        return choose_physics(settings, model_shape(setup.model), gpu_spec(setup.gpu))[1]
    return step_model(
        setup.model,
        setup.gpu,
        setup.generation,
        engine=setup.engine,
        attention_backend=setup.attention_backend,
    )


def _warnings(setup: RunSetup, prediction: RunPrediction, model: StepModel) -> list[str]:
    if model.profile is None:
        return []
    batch = int(prediction.values.get("running_peak", setup.num_prompts or 0))
    context = round(setup.input_mean + setup.output_mean)
    rank = setup.max_lora_rank if setup.n_adapters else 0
    return model.profile.valid.warnings(batch, context, setup.max_loras, rank)


def _agreements(runs: Sequence[MeasuredRun], rows: Sequence[RowPrediction]) -> list[Agreement]:
    both = [(run, row) for run, row in zip(runs, rows, strict=True) if run.clean]
    starved = [(run.starved, row.starved) for run, row in both if None not in (run.starved, row.starved)]
    preempted = [
        (run.measured["measured_preemptions"] > 0, row.values["preemptions"] >= 0.5)
        for run, row in both
        if "measured_preemptions" in run.measured and "preemptions" in row.values
    ]
    return [
        Agreement(question, sum(a == b for a, b in outcomes), len(outcomes))
        for question, outcomes in (("starved", starved), ("preempted", preempted))
        if outcomes
    ]


def _inside(pairs: Sequence[Pair], rows: Sequence[RowPrediction]) -> dict[str, tuple[int, int]]:
    bands = {row.setup.run_id: row.bands for row in rows}
    counted: dict[str, tuple[int, int]] = {}
    for pair in pairs:
        band = bands[pair.run_id].get(pair.metric)
        if band and pair.clean:
            hits, count = counted.get(pair.metric, (0, 0))
            counted[pair.metric] = (hits + (band[0] <= pair.measured <= band[1]), count + 1)
    return counted
