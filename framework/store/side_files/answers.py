"""Writing advice and predictions: exactly once, and never only in the database."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from framework.contracts import Advice, Json
from framework.identity.run_key import canonical_hash
from framework.store import durable
from framework.store.bundles.bundle_format import check_run_id, encode_parquet
from framework.store.bundles.record_json import checksum, plain
from framework.store.database.schema import PREDICTIONS
from framework.store.side_files.listing import ADVICE_FORMAT


def write_advice(
    outputs: Path | str, advice: Sequence[Advice], experiment: str, sweep_id: str | None
) -> list[Path]:
    """Write what advisors said after a sweep, one file an advisor; return the files.

    An advisor that speaks again on the same sweep replaces what it said before, so that a resumed sweep has each
    piece of advice once. Raises `StoreError` when it can't be written.
    """
    by_advisor: dict[str, list[Advice]] = defaultdict(list)
    for item in advice:
        by_advisor[item.advisor].append(item)
    paths = []
    for advisor, items in by_advisor.items():
        key = canonical_hash([experiment, sweep_id, advisor])
        now = datetime.now(UTC).replace(tzinfo=None).isoformat()
        body: dict[str, Json] = {
            "format": ADVICE_FORMAT,
            "advice": [
                _advice_item(item, f"{key}-{index}", experiment, sweep_id, now)
                for index, item in enumerate(items)
            ],
        }
        path = Path(outputs) / "advice" / f"{key}.json"
        durable.write_whole(path, json.dumps({**body, "checksum": checksum(body)}, indent=1).encode("utf-8"))
        paths.append(path)
    return paths


def _advice_item(
    item: Advice, advice_id: str, experiment: str, sweep_id: str | None, now: str
) -> dict[str, Json]:
    return {
        "advice_id": advice_id,
        "sweep_id": sweep_id,
        "experiment": experiment,
        "advisor": item.advisor,
        "subject": item.subject,
        "recommendation": json.dumps(plain(item.recommendation), sort_keys=True),
        "overrides": item.overrides,
        "metric": item.metric,
        "predicted": _finite(item.predicted),
        "low": _finite(item.low),
        "high": _finite(item.high),
        "reason": item.reason,
        "run_ids": [str(run_id) for run_id in item.run_ids],
        "facts": json.dumps(plain(item.facts), sort_keys=True),
        "advised_at": now,
    }


def _finite(value: float | None) -> float | None:
    number = plain(value)
    return number if isinstance(number, (int, float)) else None


@dataclass(frozen=True)
class Prediction:
    """One predicted value of one configuration that was asked for.

    Attributes:
        row: place of the configuration in the order asked for, from 0.
        target: the metric.
        predicted, low, high: value and interval; None with a reason when it can't be predicted.
        config: the configuration asked for, dotted names to values.
        method: what predicted it (`twin`, `nearest-neighbours` …).
    """

    row: int
    target: str
    predicted: float | None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    method: str = ""
    reason: str | None = None
    config: Mapping[str, Json] = field(default_factory=dict)


def write_predictions(outputs: Path | str, predictions: Sequence[Prediction], run_id: str) -> Path:
    """Write the predictions of one call under its `run_id`; the same id written again replaces them.

    Raises `StoreError` when they can't be written.
    """
    check_run_id(run_id)
    now = datetime.now(UTC).replace(tzinfo=None)
    rows = [
        {
            **{name: getattr(item, name) for name in ("row", "target", "unit", "method", "reason")},
            "run_id": run_id,
            "predicted": _finite(item.predicted),
            "low": _finite(item.low),
            "high": _finite(item.high),
            "config": json.dumps(plain(item.config), sort_keys=True),
            "predicted_at": now,
        }
        for item in predictions
    ]
    path = Path(outputs) / "predictions" / f"{run_id}.parquet"
    durable.write_whole(path, encode_parquet(pa.Table.from_pylist(rows, schema=PREDICTIONS)))
    return path
