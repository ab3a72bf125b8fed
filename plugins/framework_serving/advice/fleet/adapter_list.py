"""Adapters to be placed, from a file of one row an adapter, and the deployment file that a plan becomes."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from framework.errors import InputError
from framework_serving.advice.capacity.adapter_sums import Adapters
from framework_serving.advice.fleet import DEPLOYMENT_KIND

USUAL_TOKENS = {"input_tokens": 222.6, "input_std": 246.5, "output_tokens": 198.6, "output_std": 206.0}
"""Moments of ShareGPT, for files that don't say how long requests are."""
_COLUMNS = ("adapter", "rank", "rate_rps", *USUAL_TOKENS)


@dataclass(frozen=True, eq=False)
class NamedAdapters:
    """Adapters and what they are called, in one order."""

    names: tuple[str, ...]
    adapters: Adapters


def read_adapters(file: Path) -> NamedAdapters:
    """Read `adapter, rank, rate_rps` and, where it has them, the moments of tokens; CSV, or a JSON or YAML list.

    Raises:
        InputError: no such file, an unknown column, a bad value, a name given twice; names file and row.
    """
    rows = _rows(file)
    if not rows:
        raise InputError(f"{file}: there is no adapter in it")
    names: list[str] = []
    values: dict[str, list[float]] = {column: [] for column in _COLUMNS[1:]}
    for number, row in enumerate(rows, start=1):
        unknown = sorted(set(row) - set(_COLUMNS))
        if unknown:
            raise InputError(f"{file}: unknown column '{unknown[0]}' (known: {', '.join(_COLUMNS)})")
        name = str(row.get("adapter") or "").strip()
        if not name or name in names:
            raise InputError(
                f"{file}: row {number}: adapter '{name}' is {'given twice' if name else 'empty'}"
            )
        names.append(name)
        for column, list_ in values.items():
            text = row.get(column)
            if text in (None, "") and column in USUAL_TOKENS:
                text = USUAL_TOKENS[column]
            list_.append(_number(text, column, f"{file}: row {number}"))
    columns = {column: np.array(list_) for column, list_ in values.items()}
    adapters = Adapters(
        columns["rate_rps"],
        columns["rank"],
        columns["input_tokens"],
        columns["input_std"],
        columns["output_tokens"],
        columns["output_std"],
        np.zeros(len(names)),
    )
    return NamedAdapters(tuple(names), adapters)


def _rows(file: Path) -> Sequence[Mapping[str, Any]]:
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not readable ({error})") from None
    if file.suffix.lower() not in (".json", ".yaml", ".yml"):
        return [dict(row) for row in csv.DictReader(text.splitlines(), restkey="more cells than columns")]
    found = _loaded(file, text)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise InputError(f"{file}: must be a list of adapters, each a mapping of {', '.join(_COLUMNS)}")
    return found


def _loaded(file: Path, text: str) -> Any:
    import yaml  # type: ignore[import-untyped]

    try:
        return json.loads(text) if file.suffix.lower() == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{file}: not readable ({' '.join(str(error).split())})") from None


def _number(text: Any, column: str, where: str) -> float:
    least = {"rank": 1.0, "input_tokens": 1.0, "output_tokens": 1.0}.get(column, 0.0)
    try:
        value = float(text)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {column} '{text if text is not None else ''}' is not a number") from None
    if not np.isfinite(value) or value < least:
        raise InputError(f"{where}: {column} must be at least {least:g}, got {value:g}")
    return value


@dataclass(frozen=True)
class Deployment:
    """What runs, or is to run.

    Attributes:
        model: name of the base model.
        gpus: for each GPU its type, slots and the names of its adapters.
        ranks: name → rank.
        rates: name → requests per second that it was planned for.
        overrides: of the engine, as it was planned with.
        gpu_types: types that can be had, as NAME, NAME=COST or NAME=COST:NUMBER.
        headroom: share of the learned capacity that is left free.
    """

    model: str
    gpus: tuple[tuple[str, int, tuple[str, ...]], ...]
    ranks: Mapping[str, int]
    rates: Mapping[str, float]
    overrides: tuple[str, ...] = ()
    gpu_types: tuple[str, ...] = ()
    headroom: float = 0.0

    def save(self, file: Path, commands: Sequence[str]) -> None:
        """Write it as YAML, with the command of each GPU's engine."""
        import yaml

        gpus = [
            {
                "gpu": gpu,
                "max_loras": slots,
                "command": command,
                "adapters": [
                    {"adapter": name, "rank": self.ranks[name], "rate_rps": round(self.rates[name], 6)}
                    for name in names
                ],
            }
            for (gpu, slots, names), command in zip(self.gpus, commands, strict=True)
        ]
        file.parent.mkdir(parents=True, exist_ok=True)
        data = {
            "kind": DEPLOYMENT_KIND,
            "model": self.model,
            "engine": list(self.overrides),
            "gpu_types": list(self.gpu_types),
            "headroom": self.headroom,
            "gpus": gpus,
        }
        file.write_text(yaml.safe_dump(data, sort_keys=False))


def read_deployment(file: Path) -> Deployment:
    """Read what `Deployment.save` wrote.

    Raises:
        InputError: no such file, or another content; names it.
    """
    try:
        data = _loaded(file, file.read_text())
        ranks: dict[str, int] = {}
        rates: dict[str, float] = {}
        gpus = []
        for gpu in data["gpus"]:
            for item in gpu["adapters"]:
                if item["adapter"] in ranks:
                    raise InputError(f"{file}: adapter '{item['adapter']}' is on two GPUs")
                ranks[str(item["adapter"])] = int(item["rank"])
                rates[str(item["adapter"])] = float(item["rate_rps"])
            names = tuple(str(item["adapter"]) for item in gpu["adapters"])
            gpus.append((str(gpu["gpu"]), int(gpu["max_loras"]), names))
        overrides, types = (
            tuple(str(word) for word in data.get(key) or ()) for key in ("engine", "gpu_types")
        )
        headroom = float(data.get("headroom", 0.0))
        return Deployment(str(data["model"]), tuple(gpus), ranks, rates, overrides, types, headroom)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not readable ({error})") from None
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: not a deployment as `place --out` writes it ({error})") from None
