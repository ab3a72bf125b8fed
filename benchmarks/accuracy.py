"""Build docs/accuracy.md, its figure and the bands of uncalibrated predictions from a table of published runs.

    python benchmarks/accuracy.py foreign_runs.csv.gz [--held-out held_out.csv held_out_watts.csv]

Every row is predicted as `framework validate` does. A band is made of errors that were made with the row's own group
(source, model and accelerator) left out of the fit: their quantiles, widened or narrowed until they hold 80 % of the
runs of groups that took no part in them. Where no run on such hardware is known, it is made of errors with the
accelerator left out, and must hold those of other accelerators. `--held-out` are the files of
benchmarks/engine_work_fit.py and benchmarks/power_fit.py; without them, bands are those of the fit itself.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from accuracy_summary import SUMMARY, Held, Item, both, summary
from engine_work_fit import SCHEMES

from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.measured.published_prediction import deployment_of, load_class
from framework_twin.measured.published_table import read_published_runs
from framework_twin.physics.uncalibrated.bands import BANDS_FILE, WIDE, group_keys, hardware_class
from framework_twin.validation.published_validation import validate_published

ROOT = Path(__file__).parents[1]
PAGE, FIGURE = ROOT / "docs" / "accuracy.md", ROOT / "docs" / "images" / "accuracy.svg"
_HELD = 0.78
"""Share of a group's runs that its band holds at least, with the run's own group (or accelerator) left out of it."""
_WIDER = np.arange(0.6, 2.01, 0.05)
_FEWEST = {"rows": 15, "groups": 2}


def keys_of(item: Item) -> tuple[str, ...]:
    """Return the groups that an item's band may come from."""
    return group_keys(item.provider, item.hardware, load_class(item.setup), item.metric)


class Band(NamedTuple):
    """Factors on a prediction; for each (run, metric), whether they held it with its own group left out of them."""

    low: float
    high: float
    held: Mapping[tuple[str, str], bool]


def bands_of(items: Sequence[Item], held: Held) -> dict[str, Band]:
    """Return key → band; keys with few rows, or groups too unlike for a band to hold them, have none."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in filter(_comparable, items):
        for key in keys_of(item):
            groups[key].append(item)
    found = {}
    for key, members in sorted(groups.items()):
        several = len({SCHEMES["group"](item.setup) for item in members}) >= _FEWEST["groups"]
        if len(members) >= _FEWEST["rows"] and several:
            elsewhere = key.split("|")[1].startswith("*")
            band = _band(members, held, "gpu" if elsewhere else "group")
            if elsewhere or np.mean(list(band.held.values())) >= _HELD:
                found[key] = band
    return found


def evidence_of(items: Sequence[Item]) -> dict[str, dict[str, object]]:
    """Return provider and hardware → runs, models, sources and median errors behind a prediction (verb `support`)."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[f"{item.provider}|{item.hardware}"].append(item)
    found: dict[str, dict[str, object]] = {}
    for key, members in sorted(groups.items()):
        errors: dict[str, list[float]] = defaultdict(list)
        for item in members:
            errors[item.metric].append(abs(item.error))
        found[key] = {
            "runs": len({item.setup.run_id for item in members}),
            "models": len({item.setup.model for item in members}),
            "sources": sorted({item.setup.source for item in members}),
            "median_error_percent": {
                name: round(float(np.median(values)), 1) for name, values in sorted(errors.items())
            },
        }
    return found


def _comparable(item: Item) -> bool:
    """Return whether a run's figures agree with its own setup (what the page lists as not modelled)."""
    return item.setup.gpus is not None and not (
        item.setup.load == "closed_loop" and item.setup.concurrency >= 512
    )


def _band(members: Sequence[Item], held: Held, scheme: str) -> Band:
    logs = np.array(
        [
            np.log(item.measured / held.get((scheme, item.setup.run_id, item.metric), item.predicted))
            for item in members
        ]
    )
    left = np.array([SCHEMES[scheme](item.setup) for item in members])
    inside = np.ones(len(logs), bool)
    for wider in _WIDER:
        for one in np.unique(left):
            if (left != one).any():
                low, high = _quantiles(logs[left != one], wider)
                inside[left == one] = (low <= logs[left == one]) & (logs[left == one] <= high)
        if inside.mean() >= _HELD:
            break
    low, high = _quantiles(logs, wider)
    flags = {(item.setup.run_id, item.metric): bool(flag) for item, flag in zip(members, inside, strict=True)}
    low, high = (float(f"{np.exp(limit):.4g}") for limit in (min(low, -0.01), max(high, 0.01)))
    return Band(low, high, flags)


def _quantiles(logs: np.ndarray, wider: float) -> tuple[float, float]:
    middle = float(np.median(logs))
    low, high = np.quantile(logs, [0.1, 0.9])
    return middle + wider * (float(low) - middle), middle + wider * (float(high) - middle)


def table(items: Sequence[Item], name: str, group_of: Callable[[Item], str]) -> list[str]:
    """Return a Markdown table of errors by group and metric."""
    groups: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        groups[group_of(item), item.metric].append(item)
    lines = [
        f"| {name} | metric | runs | median % | p90 % | bias % | in the band % |",
        "|---|---|---|---|---|---|---|",
    ]
    for (group, metric), members in sorted(groups.items()):
        errors = np.array([item.error for item in members])
        numbers = (np.median(abs(errors)), np.quantile(abs(errors), 0.9), np.median(errors))
        inside = 100 * np.mean([item.inside for item in members])
        cells = " | ".join(f"{number:.1f}" for number in numbers)
        lines.append(f"| {group} | `{metric}` | {len(members)} | {cells} | {inside:.0f} |")
    return [*lines, ""]


_SHOWN = ("duration_s", "tpot_mean_ms", "itl_p50_ms", "ttft_mean_ms", "output_tok_s", "power_mean_w")
_ALSO = ("energy_j_per_output_token", "itl_p90_ms", "itl_p99_ms")


_INTRODUCTION = """# Accuracy

How far the twin is off where no profile was fitted: predictions of published vLLM runs on models and GPUs of others,
each from its configuration alone. Profiles have their own errors ([the physics of the twin](twin_physics.md#errors)).
How far `predict` is off, which learns from stored runs too, on models, GPUs and clusters left out, next to the twin
alone and learning alone: [LLM serving](experiments.md#predict-from-the-store),
[clusters](hadoop_knowledge.md#measured-accuracy-and-speed).

Built {today} from {total} runs of four public sources; {refused} refused. Rebuild it with a table of your own:
`python benchmarks/accuracy.py TABLE --held-out HELD_OUT`; the verb `validate TABLE` predicts any such table.

![Median error by source, GPU and kind of model](images/accuracy.svg)

Errors are (predicted - measured) / measured. The band is the 80 % band that every prediction carries; "in the band"
counts predictions and bands that the run's own group (source, model, accelerator) was left out of. The few numbers of
the engine's own work (`engine_work.json`) and of the power law (`power_shares.json`) were fitted on these runs; the
second table has the errors with each source, accelerator, model and group left out of the fit. The scripts that fit
them (`benchmarks/engine_work_fit.py`, `benchmarks/power_fit.py`) write the shipped numbers and start from none.
"""
_HELD_OUT = """## With sources, accelerators and models left out

Median and 90th percentile of the error, %. Watts are refitted on the shipped times. Where a source is left out, no
run of its engine's release remains: the numbers of the nearest release stand in, which is the error of a release
without measurements. A release of one GPU or few models is off in the same way where these are left out.
"""
_LEFT_OUT = """## What is not modelled

- The vision tower's work. On B200, image tasks add 30 ms to each step from 16 requests on, however many images
  arrive: the host is starved, and watts are well below the prediction. These rows teach nothing, and loads with
  images have bands of their own.
- Runs with an unknown number of GPUs (72 rows of `aic`): their time per token seems to leave out the prompts. Some of
  them would need more than the peak rate of the accelerators stated (94 prompts of 1,000 tokens a second of an 8B
  model on one H200, with 112 users decoding).
- What makes steps of data-parallel ranks longer with more requests: of one model on B200, the only one whose ranks
  were measured, throughput in large batches is up to four times too high. Rows of `aic` that state ranks count their
  GPUs twice: their ids, and rows with the same measurements to four digits, say one rank, and they are read so.
- The `steady` rows have no input length: a usual one of the task is assumed.
- How a load client drew lengths: all are taken to lie within 10 % of the stated one. With all of them equal, times to
  first token are 20 to 50 % off (median), since requests that start together then never part.
- Jumps of an engine between batch sizes, and closed loops of 512 users whose figures contradict the others.
"""


def page(items: Sequence[Item], held: Held, total: int, refused: int) -> str:
    """Return the text of docs/accuracy.md."""
    main = [item for item in items if item.metric in _SHOWN]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    lines = [
        _INTRODUCTION.format(today=today, total=total, refused=refused),
        SUMMARY,
        *summary(items, held),
        "## By provider and kind of hardware",
        "",
        *table(items, "provider, hardware", lambda item: f"{item.provider}, {item.hardware}"),
    ]
    if held:
        lines += [_HELD_OUT, *held_out_table(main, held)]
    lines += [
        "## By source and GPU",
        "",
        *table(main, "source, GPU", lambda i: f"{i.setup.source}, {i.setup.gpu}"),
    ]
    lines += ["## By parallelism", "", *table(main, "parallelism", _parallelism)]
    lines += [
        "## By number type of the weights",
        "",
        *table(main, "weights", lambda i: i.setup.weight_type or "not stated"),
    ]
    lines += ["## By load", "", *table(main, "load", _regime)]
    lines.append(_LEFT_OUT)
    return "\n".join(lines)


def held_out_table(items: Sequence[Item], held: Held) -> list[str]:
    """Return a Markdown table of median / p90 errors: in-sample, and with each group left out."""
    groups: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        groups[f"{item.setup.source}, {item.hardware}", item.metric].append(item)
    schemes = [name for name in ("source", "gpu", "model", "group") if any(key[0] == name for key in held)]
    lines = [
        f"| source, hardware | metric | runs | in-sample | {' | '.join(f'{s} left out' for s in schemes)} |",
        "|---|---|---|---|" + "---|" * len(schemes),
    ]
    for (group, metric), members in sorted(groups.items()):
        cells = [both([item.error for item in members])]
        for scheme in schemes:
            found = [
                item._replace(predicted=held[key]).error
                for item in members
                if (key := (scheme, item.setup.run_id, metric)) in held
            ]
            cells.append(both(found) if found else "–")
        lines.append(f"| {group} | `{metric}` | {len(members)} | {' | '.join(cells)} |")
    return [*lines, ""]


def _parallelism(item: Item) -> str:
    spread = deployment_of(item.setup)
    parts = {"TP": spread.tensor, "PP": spread.pipeline, "DP": spread.data, "EP": spread.expert}
    return " ".join(f"{name} {count}" for name, count in parts.items() if count > 1) or "one GPU"


def _regime(item: Item) -> str:
    setup = item.setup
    users = setup.running or setup.concurrency
    size = "up to 16" if users <= 16 else "17 to 128" if users <= 128 else "over 128"
    return f"{setup.load}, {size} requests"


def figure(items: Sequence[Item]) -> str:
    """Return an SVG of median errors of the time per token, or of the duration, by source, GPU and kind of model."""
    groups: dict[str, list[float]] = defaultdict(list)
    for item in items:
        if item.metric in ("duration_s", "tpot_mean_ms", "itl_p50_ms"):
            kind = item.hardware.partition(" ")[2]
            groups[f"{item.setup.source} · {item.setup.gpu} · {kind}"].append(abs(item.error))
    height, rows = 22, []
    for place, (group, errors) in enumerate(sorted(groups.items())):
        median, p90 = float(np.median(errors)), float(np.quantile(errors, 0.9))
        y = 30 + place * height
        rows.append(f'<text x="300" y="{y + 13}" text-anchor="end">{group} ({len(errors)})</text>')
        rows.append(f'<rect x="310" y="{y + 3}" width="{4 * min(p90, 80):.0f}" height="12" fill="#c9d8ea"/>')
        rows.append(
            f'<rect x="310" y="{y + 3}" width="{4 * min(median, 80):.0f}" height="12" fill="#2f6db3"/>'
        )
        rows.append(f'<text x="640" y="{y + 13}">{median:.0f} / {p90:.0f} %</text>')
    body = "\n".join(rows)
    total = 40 + len(groups) * height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="740" height="{total}"'
        ' font-family="sans-serif" font-size="12">\n'
        f'<rect width="740" height="{total}" fill="white"/>\n'
        '<text x="310" y="18">error of time per token or duration: median (dark), 90 % of runs (light)</text>\n'
        f"{body}\n</svg>\n"
    )


def main() -> None:
    """Predict, then write bands, page and figure."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--held-out", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    runs, bad = read_published_runs(arguments.table)
    report = validate_published(runs, bad)
    items = [
        Item(
            run.setup,
            prediction.provider,
            hardware_class(gpu_spec(run.setup.gpu), model_shape(run.setup.model)),
            metric,
            run.measured[metric],
            value,
            False,
            run.measured.get("tpot_mean_ms", 0.0),
        )
        for run, prediction in report.predicted
        for metric, value in prediction.values.items()
        if run.measured.get(metric, 0) > 0
    ]
    held: dict[tuple[str, str, str], float] = {}
    for file in arguments.held_out:
        with file.open() as stream:
            for row in csv.DictReader(stream):
                held[row["scheme"], row["run_id"], row["metric"]] = float(row["predicted"])
    bands = bands_of(items, held)
    content = {"factors": {key: band[:2] for key, band in bands.items()}, "evidence": evidence_of(items)}
    BANDS_FILE.write_text(json.dumps(content, indent=0) + "\n")

    def banded(item: Item) -> Item:
        band = next((bands[key] for key in keys_of(item) if key in bands), Band(*WIDE, {}))
        whole = band.low <= item.measured / item.predicted <= band.high
        return item._replace(inside=band.held.get((item.setup.run_id, item.metric), whole))

    items = [banded(item) for item in items]
    shown = [item for item in items if item.metric in (*_SHOWN, *_ALSO)]
    print("\n".join(summary(shown, held)))
    PAGE.write_text(page(shown, held, len(runs), len(report.refused)))
    FIGURE.write_text(figure(items))


if __name__ == "__main__":
    main()
