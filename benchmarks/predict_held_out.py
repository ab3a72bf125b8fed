"""How well `predict` knows a model, a GPU or a cluster that it never saw: law alone, learning alone, and both.

    python benchmarks/predict_held_out.py --serving foreign_runs.csv.gz --executions aloja_executions.csv.gz

Each model, GPU and cluster is left out once. `chosen` is what `predict` does: of law, corrected law and learning it
takes what errs least when units of the training rows are held out. The law of the serving runs is the twin without a
profile (the constants of its engine's work were fitted to the same published runs, so its own error is a bit too
small). That of the executions is a law of work that is made here: see `work_law`. Errors are medians of the absolute
relative error, in percent; each unit counts once. `--rows` executions are drawn at random.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from framework.analysis.prediction.features import Column, FloatArray, group_codes
from framework.analysis.prediction.law_learners import LAW, candidates
from framework.analysis.prediction.novelty import Group
from framework.analysis.prediction.prediction_answer import learners_for
from framework.analysis.prediction.predictor import RunPredictor
from framework.analysis.prediction.validation_schemes import rows_of

METRICS = ("output_tok_s", "tpot_mean_ms", "ttft_mean_ms", "energy_j_per_output_token")
_LEAST_ROWS = 8  # of a unit that is held out


def serving_rows(file: Path) -> tuple[dict[str, Column], dict[str, FloatArray], dict[str, FloatArray]]:
    """Return columns, measured values and the twin's values of each metric (NaN where there is none)."""
    from framework_serving.hardware.catalogue import gpu_spec, model_shape
    from framework_twin.measured.published_table import read_published_runs
    from framework_twin.validation.published_validation import validate_published

    runs, bad = read_published_runs(file)
    report = validate_published(runs, bad)
    records: list[dict[str, object]] = []
    for run, _ in report.predicted:
        setup = {f"load.{key}": value for key, value in asdict(run.setup).items() if key not in _LEFT_OUT}
        shape = {f"model.{key}": value for key, value in asdict(model_shape(run.setup.model)).items()}
        board = {f"gpu.{key}": value for key, value in asdict(gpu_spec(run.setup.gpu)).items()}
        records.append({**setup, **shape, **board, "model.name": run.setup.model, "gpu.name": run.setup.gpu})
    values = {
        metric: np.array([run.measured.get(metric, np.nan) for run, _ in report.predicted])
        for metric in METRICS
    }
    laws = {
        metric: np.array([found.values.get(metric, np.nan) for _, found in report.predicted])
        for metric in METRICS
    }
    return _columns(records), values, laws


_LEFT_OUT = {"row", "run_id", "model", "gpu", "note", "source"}


def _columns(records: Sequence[Mapping[str, object]]) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for name in sorted({name for record in records for name in record}):
        values = [record.get(name) for record in records]
        if all(value is None or isinstance(value, (int, float)) for value in values):
            found[name] = np.array([np.nan if value is None else float(value) for value in values])  # type: ignore[arg-type]
        else:
            found[name] = np.array([None if value is None else str(value) for value in values], dtype=object)
    return {name: values for name, values in found.items() if len({str(v) for v in values.tolist()}) > 1}


def held_out(
    plan: RunPredictor, columns: Mapping[str, Column], target: FloatArray, group: Group
) -> tuple[dict[str, float], dict[str, int], float, int]:
    """Hold out each unit of a group once.

    Returns:
        the error of each way (percent), how often each was chosen, the share inside the band, the units.
    """
    unit = group_codes(columns, [name for name in group.key if name in columns])
    errors: dict[str, list[float]] = {}
    chosen: dict[str, int] = {}
    inside: list[float] = []
    sizes = np.bincount(unit)
    for code in [int(code) for code in np.flatnonzero(sizes >= _LEAST_ROWS)]:
        out, learned = np.flatnonzero(unit == code), np.flatnonzero(unit != code)
        fitted = plan.fit(rows_of(columns, learned), target[learned])
        asked = rows_of(columns, out)
        prediction = fitted.predict(asked)
        name = fitted.chosen(prediction.basis[0])[0]
        chosen[_short(name)] = chosen.get(_short(name), 0) + 1
        inside.append(float(np.mean((prediction.low <= target[out]) & (target[out] <= prediction.high))))
        _note(errors, "chosen", prediction.predicted, target[out])
        for candidate in plan.candidates:
            alone = replace(plan, candidates=(candidate,)).fit(rows_of(columns, learned), target[learned])
            _note(errors, candidate.name, alone.predict(asked).predicted, target[out])
    medians = {name: float(np.median(values)) for name, values in errors.items()}
    return medians, chosen, float(np.mean(inside)), len(inside)


def _note(errors: dict[str, list[float]], name: str, predicted: FloatArray, measured: FloatArray) -> None:
    errors.setdefault(name, []).append(100 * float(np.median(np.abs(predicted / measured - 1))))


def _short(name: str) -> str:
    return name.replace("gradient boosting (log),", "trees of").replace("Gaussian process (log)", "process")


def report(title: str, result: tuple[dict[str, float], dict[str, int], float, int]) -> None:
    """Print one line for each way to predict."""
    errors, chosen, inside, units = result
    took = ", ".join(f"{name} {count}" for name, count in sorted(chosen.items(), key=lambda item: -item[1]))
    print(f"{title}: {units} units; chosen: {took}; {inside:.0%} inside the 90 % band")
    for name, error in errors.items():
        print(f"    {_short(name):42} {error:6.1f} %")
    sys.stdout.flush()


def serving(file: Path) -> None:
    """Hold out models and GPUs of published runs."""
    columns, values, laws = serving_rows(file)
    groups = (
        Group("gpu", tuple(n for n in columns if n.startswith("gpu.") and n != "gpu.name"), ("gpu.name",)),
        Group(
            "model",
            tuple(n for n in columns if n.startswith("model.") and n != "model.name"),
            ("model.name",),
        ),
    )
    for metric in METRICS:
        known = np.flatnonzero(np.isfinite(values[metric]) & (values[metric] > 0) & (laws[metric] > 0))
        if len(known) < 50:
            continue
        own: dict[str, Column] = {**rows_of(columns, known), LAW: laws[metric][known]}
        ways = candidates(learners_for(len(known)), with_law=True)
        for group in groups:
            plan = RunPredictor(groups=(group,), candidates=ways, configuration=tuple(columns))
            title = f"{metric}, {group.name} held out ({len(known)} runs)"
            report(title, held_out(plan, own, values[metric][known], group))


def work_law(columns: Mapping[str, Column], times: FloatArray, cluster: np.ndarray) -> FloatArray:
    """Return the time of each execution by a law of work, fitted to all clusters but its own.

    Of each benchmark: a start, work shared by the slots that have a core, by all cores, and traffic shared by the
    nodes: of local, remote and solid-state disks, of a network without InfiniBand, of data that is not compressed, of
    further copies. The nine constants are not negative. NaN where fewer than 20 executions of a benchmark are known.
    """
    from scipy.optimize import nnls

    nodes, cores, slots = (columns[name] for name in ("data_nodes", "cores_per_node", "map_slots"))
    ssd, remote = np.nan_to_num(columns["disk_ssd"]) > 0, np.nan_to_num(columns["disk_remote"])
    shared = (~ssd & (remote == 0), (remote > 0) / np.maximum(remote, 1), ssd, columns["network"] != "IB",
              columns["codec"] == "none", np.maximum(columns["replication"] - 1, 0))  # fmt: skip
    terms = [np.ones_like(nodes), 1 / (np.fmin(slots, cores) * nodes), 1 / (cores * nodes)]
    work = np.nan_to_num(np.column_stack([*terms, *(share / nodes for share in shared)]))
    law = np.full(len(times), np.nan)
    for benchmark in set(columns["benchmark"].tolist()):
        mine = columns["benchmark"] == benchmark
        for left_out in np.unique(cluster[mine]):
            known = mine & (cluster != left_out)
            if known.sum() >= 20:
                _, place, sizes = np.unique(cluster[known], return_inverse=True, return_counts=True)
                weight = 1 / np.sqrt(sizes[place])
                constants, _ = nnls(work[known] * (weight / times[known])[:, None], weight)
                asked = mine & (cluster == left_out)
                law[asked] = work[asked] @ constants
    return np.where(law > 0, law, np.nan)


def executions(file: Path, rows: int) -> None:
    """Hold out clusters of recorded executions."""
    from framework_hadoop.executions.execution_features import (
        CLUSTER,
        execution_features,
        execution_predictor,
    )
    from framework_hadoop.executions.execution_files import read_executions

    found = read_executions(file)
    times = found.time_s
    every = np.random.default_rng(0).permutation(np.flatnonzero(times > 60))
    columns = dict(rows_of(execution_features(found), every))
    unit = group_codes(columns, list(CLUSTER.key))
    wrong = 100 * np.abs(work_law(columns, times[every], unit) / times[every] - 1)
    each = [float(np.nanmedian(wrong[unit == code])) for code in np.unique(unit)]
    print(
        f"law of work alone, all {len(every)} executions: {np.median(each):.1f} % (median of {len(each)} clusters)"
    )
    kept = every[:rows]
    columns = dict(rows_of(execution_features(found), kept))
    columns[LAW] = work_law(columns, times[kept], group_codes(columns, list(CLUSTER.key)))
    ways = candidates(learners_for(len(kept)), with_law=True)
    plan = replace(execution_predictor(), groups=(CLUSTER,), candidates=ways)
    report(
        f"exe_time_s, cluster held out ({len(kept)} executions)",
        held_out(plan, columns, times[kept], CLUSTER),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--serving", type=Path)
    parser.add_argument("--executions", type=Path)
    parser.add_argument("--rows", type=int, default=4000)
    given = parser.parse_args()
    if given.serving:
        serving(given.serving)
    if given.executions:
        executions(given.executions, given.rows)
