"""Capacity of a GPU that holds adapters, learned from simulations: a correction of the rough estimate, with a band.

The correction is learned by boosted trees that are monotone where physics says so; a small tree of the same rows is
kept to be read. Everything is checked on populations that were held out whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from framework.analysis.prediction.libraries import learning_library
from framework.contracts import Json
from framework.errors import InputError
from framework_serving.advice.capacity.adapter_sums import FloatArray
from framework_serving.advice.capacity.capacity_features import FEATURES, MONOTONE, CapacityRows
from framework_serving.advice.capacity.engine_probes import EngineProbe
from framework_serving.advice.capacity.small_tree import SmallTree, shown

_KIND = "adapter capacity model"
_FORMAT = 2
_ROUNDS = 250
LEARNING = {
    "objective": "l2",
    "learning_rate": 0.06,
    "num_leaves": 12,
    "min_data_in_leaf": 8,
    "feature_fraction": 0.7,
    "lambda_l2": 1.0,
    "max_bin": 127,
    "num_threads": 1,
    "force_row_wise": True,
    "deterministic": True,
    "seed": 1,
    "verbose": -1,
    "monotone_constraints": [MONOTONE.get(name, 0) for name in FEATURES],
    "monotone_constraints_method": "intermediate",
}


@dataclass(frozen=True)
class CapacityModel:
    """A fitted model; everything that an answer needs, in one JSON file.

    Attributes:
        booster: trees of log(capacity / estimate), as LightGBM writes them.
        tree: a small tree of the same, to be read.
        residuals: sorted held-out errors of log capacity, true minus predicted, apart for rows that turns limit
            ("turns") and that the batch limits ("batch").
        served: (load / capacity, median share of tokens served there), rising in the first.
        ranges: feature → (smallest, largest) learned from.
        errors: held-out errors by name.
        engines: probes of the engines learned from.
        data_hash: of the data set.
        populations: how many it learned from.
    """

    booster: str
    tree: SmallTree
    residuals: Mapping[str, tuple[float, ...]]
    served: tuple[tuple[float, float], ...]
    ranges: Mapping[str, tuple[float, float]]
    errors: Mapping[str, float]
    engines: Mapping[str, EngineProbe]
    data_hash: str
    populations: int

    @cached_property
    def _trees(self) -> Any:
        return learning_library("lightgbm").Booster(model_str=self.booster)

    def capacity_tok_s(self, rows: CapacityRows) -> FloatArray:
        """Return the load at which each row begins to starve, input and output tokens per second; shape (rows,)."""
        if not len(rows.features):
            return np.zeros(0)
        found: FloatArray = rows.estimate_tok_s * np.exp(self._trees.predict(rows.features, num_threads=1))
        return found

    def band(self, rows: CapacityRows, level: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Return factors (low, high) on the capacity that held-out populations had, shape (rows,) each."""
        tail = (1.0 - level) / 2.0
        low, high = np.ones(len(rows.features)), np.ones(len(rows.features))
        for name, mine in by_limit(rows.features).items():
            errors = np.asarray(self.residuals[name])
            # the finite-sample quantile of split conformal prediction
            places = [
                int(np.floor(tail * (len(errors) + 1))) - 1,
                int(np.ceil((1 - tail) * (len(errors) + 1))) - 1,
            ]
            first, last = np.clip(places, 0, len(errors) - 1)
            low[mine], high[mine] = np.exp(errors[first]), np.exp(errors[last])
        return low, high

    def starvation(self, rows: CapacityRows) -> FloatArray:
        """Return the probability that each row starves: how many held-out errors would bring it about."""
        with np.errstate(divide="ignore"):
            margin = np.log(rows.load_tok_s) - np.log(self.capacity_tok_s(rows))
        found = np.ones(len(margin))
        for name, mine in by_limit(rows.features).items():
            errors = np.asarray(self.residuals[name])
            found[mine] = np.searchsorted(errors, margin[mine]) / len(errors)
        return found

    def throughput_tok_s(self, rows: CapacityRows) -> FloatArray:
        """Return the tokens served per second."""
        ratio = rows.load_tok_s / np.maximum(self.capacity_tok_s(rows), 1e-9)
        places, shares = np.array(self.served).T
        share = np.where(
            ratio <= places[-1], np.interp(ratio, places, shares), shares[-1] * places[-1] / ratio
        )
        served: FloatArray = rows.load_tok_s * share
        return served

    def outside(self, rows: CapacityRows) -> list[str]:
        """Return which features of any row lie outside of what was learned from, in words."""
        found = []
        for place, name in enumerate(FEATURES):
            low, high = self.ranges[name]
            slack = 1e-6 + 0.01 * (high - low)
            values = rows.features[:, place]
            if len(values) and (values.min() < low - slack or values.max() > high + slack):
                worst = float(values.min() if values.min() < low - slack else values.max())
                found.append(
                    f"{name} {shown(name, worst)} (learned: {shown(name, low)} to {shown(name, high)})"
                )
        return found

    def save(self, file: Path) -> None:
        """Write it as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        data: dict[str, Json] = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        data["engines"] = {key: engine.as_json() for key, engine in self.engines.items()}
        data = {"kind": _KIND, "format": _FORMAT, "features": list(FEATURES), **data}
        whole = file.with_suffix(".part")
        whole.write_text(json.dumps(data))
        whole.replace(file)

    @classmethod
    def load(cls, file: Path) -> CapacityModel:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, no such model, or one of other features; names the file.
        """
        try:
            data = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: not readable as a learned model ({error})") from None
        if (
            data.get("kind") != _KIND
            or data.get("format") != _FORMAT
            or data.get("features") != list(FEATURES)
        ):
            raise InputError(
                f"{file}: no {_KIND} of this version; learn again: python -m framework learn-adapters"
            )
        return cls(
            booster=data["booster"],
            tree=data["tree"],
            residuals={name: tuple(values) for name, values in data["residuals"].items()},
            served=tuple((float(ratio), float(share)) for ratio, share in data["served"]),
            ranges={name: tuple(value) for name, value in data["ranges"].items()},
            errors=data["errors"],
            engines={key: EngineProbe.from_json(value) for key, value in data["engines"].items()},
            data_hash=data["data_hash"],
            populations=data["populations"],
        )


def by_limit(features: FloatArray) -> dict[str, np.ndarray]:
    """Return which rows are limited by turns on the slots, and which by the batch."""
    turns = features[:, FEATURES.index("turn_limit")] < 0.0
    return {"turns": turns, "batch": ~turns}


def fit_trees(features: FloatArray, target: FloatArray, weight: FloatArray) -> Any:
    """Return boosted trees, reproducible."""
    lightgbm = learning_library("lightgbm")
    data = lightgbm.Dataset(features, target, weight=weight, params={"verbose": -1})
    return lightgbm.train(LEARNING, data, _ROUNDS)
