"""Tables of published runs: one load of a stated kind on one deployment, as vendors and leaderboards publish them.

A row holds a closed loop of equal requests (`closed_loop`), one batch of equal prompts to its end (`lockstep`), or a
steady state at a stated number of running requests (`steady`), with the deployment's parallelism and number types.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from framework.errors import InputError
from framework_twin.measured.measured_runs import BadRow

LOADS = ("closed_loop", "lockstep", "steady")
_REQUIRED = (
    "run_id",
    "model",
    "gpu",
    "load",
    "weight_dtype",
    "tensor_parallel",
    "concurrency",
    "output_tokens",
)


@dataclass(frozen=True)
class PublishedSetup:
    """What a row was configured with; numbers that were not published are None.

    Attributes:
        running: requests in the batch, for a steady state (a row's only statement of its load).
        server: whether clients came over HTTP (a steady state or a closed loop), not a call in the same process.
        restated: whether columns that contradict the row's own id were put right, see `_as_its_id_states`.
    """

    row: int
    run_id: str
    source: str
    model: str
    gpu: str
    engine: str
    version: str
    weight_type: str
    expert_type: str
    kv_type: str
    gpus: int | None
    tensor: int
    pipeline: int
    data: int | None
    expert: int | None
    expert_tensor: int | None
    load: str
    input_tokens: int | None
    output_tokens: float
    concurrency: int
    running: float | None
    note: str
    restated: bool = False

    @property
    def server(self) -> bool:
        """Whether the requests came through a server."""
        return self.load != "lockstep"


@dataclass(frozen=True)
class PublishedRun:
    """A row's setup beside what was measured (`measured_*` without the prefix → value)."""

    setup: PublishedSetup
    measured: Mapping[str, float]


def is_published_table(path: Path) -> bool:
    """Return whether a file is a table of published runs, by its header."""
    with _opened(path) as stream:
        header = next(csv.reader(stream), [])
    return {"load", "weight_dtype", "tensor_parallel"} <= set(header)


def read_published_runs(path: Path) -> tuple[list[PublishedRun], list[BadRow]]:
    """Read a table of published runs (CSV, gzip allowed); rows that break the schema are returned apart.

    Raises `InputError` if the file can't be read or lacks a required column.
    """
    runs: list[PublishedRun] = []
    bad: list[BadRow] = []
    names: set[str] = set()
    for number, record in enumerate(_records(path)):
        try:
            run = _run(record, number)
            if run.setup.run_id in names:
                raise ValueError(f"run_id: an earlier row is called '{run.setup.run_id}' as well")
            names.add(run.setup.run_id)
            runs.append(run)
        except ValueError as error:
            bad.append(BadRow(number, record.get("run_id") or f"row {number}", str(error)))
    if not runs and not bad:
        raise InputError(f"{path}: no rows")
    return runs, bad


def _opened(path: Path):  # type: ignore[no-untyped-def]
    opener = gzip.open if path.suffix == ".gz" else open
    return opener(path, "rt", encoding="utf-8", newline="")


def _records(path: Path) -> Iterator[dict[str, str]]:
    try:
        with _opened(path) as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path}: column {missing[0]} is missing; is this a table of published runs?"
                )
            yield from reader
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: can't be read as a table of runs: {error}") from error


def _run(record: Mapping[str, str], row: int) -> PublishedRun:
    if (
        None in record or None in record.values()
    ):  # how csv.DictReader marks cells that are too many or too few
        raise ValueError(f"the row has {'more' if None in record else 'fewer'} cells than the header")
    load = _text(record, "load")
    if load not in LOADS:
        raise ValueError(f"load: '{load}' is not one of {', '.join(LOADS)}")
    running = _number(record, "measured_running_mean") if load == "steady" else None
    output = _number(record, "output_tokens")
    if output is None:
        raise ValueError("output_tokens: is empty")
    setup = PublishedSetup(
        row=row,
        run_id=_text(record, "run_id") or f"row-{row}",
        source=_text(record, "source"),
        model=_needed(record, "model"),
        gpu=_needed(record, "gpu"),
        engine=_text(record, "engine") or "vllm",
        version=_text(record, "engine_version"),
        weight_type=_text(record, "weight_dtype"),
        expert_type=_text(record, "moe_dtype"),
        kv_type=_text(record, "kv_dtype"),
        gpus=_whole(record, "n_gpus"),
        tensor=_whole(record, "tensor_parallel") or 1,
        pipeline=_whole(record, "pipeline_parallel") or 1,
        data=_whole(record, "data_parallel"),
        expert=_whole(record, "expert_parallel"),
        expert_tensor=_whole(record, "moe_tensor_parallel"),
        load=load,
        input_tokens=_whole(record, "input_tokens"),
        output_tokens=output,
        concurrency=_whole(record, "concurrency") or 1,
        running=running,
        note=_text(record, "note"),
    )
    measured = {
        name.removeprefix("measured_"): value
        for name in record
        if name.startswith("measured_") and (value := _number(record, name)) is not None
    }
    return PublishedRun(_as_its_id_states(setup), measured)


def _as_its_id_states(setup: PublishedSetup) -> PublishedSetup:
    """Return a setup whose columns count its accelerators twice as the run's id has it; others as they are.

    A converter took T accelerators with expert parallelism for T ranks of T accelerators each, and shared the users
    among them: columns of T · T accelerators with c / T users, in a run that is called `…_c<c>_tp<T>_ep<T>`.
    The same measurements stand in other campaigns' rows, to four digits, as T accelerators with c users.
    """
    tensor, users = setup.tensor, setup.concurrency * (setup.data or 1)
    squared = setup.data == tensor > 1 and setup.expert == tensor * tensor
    if not squared or f"_c{users}_" not in setup.run_id:
        return setup
    return replace(setup, gpus=tensor, data=1, expert=tensor, concurrency=users, restated=True)


def _text(record: Mapping[str, str], name: str) -> str:
    return (record.get(name) or "").strip()


def _needed(record: Mapping[str, str], name: str) -> str:
    text = _text(record, name)
    if not text:
        raise ValueError(f"{name}: is empty")
    return text


def _number(record: Mapping[str, str], name: str) -> float | None:
    text = _text(record, name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name}: '{text}' is not a number") from None
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}: {text} is not a number of at least 0")
    return value


def _whole(record: Mapping[str, str], name: str) -> int | None:
    value = _number(record, name)
    if value is None:
        return None
    if value != int(value) or value < 1:
        raise ValueError(f"{name}: {value:g} is not a whole number of at least 1")
    return int(value)
