"""The data set that a capacity model learns from: boundaries of many populations on engines, made by simulation.

Examples of an engine that was simulated with other physics (a profile fitted again) do not count.

A file of one JSON object a line: an engine's probe, or a population with the boundaries found for it. What is there
is not made again, so an interrupted command goes on; a line that was cut off is made anew.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from framework.contracts import BatchBackend, Json, WorkloadTables
from framework.errors import InputError
from framework_serving.advice.capacity.boundary import Boundary, Point, enclose, simulated
from framework_serving.advice.capacity.engine_probes import EngineProbe, engine_id, physics_of, probe
from framework_serving.advice.capacity.population_draws import draw
from framework_serving.advice.capacity.workload_adapters import WorkloadPopulation
from framework_serving.workloads.adapter_mix import AdapterMixWorkload

LABEL_SLOTS = (4, 8, 16, 32, 64, 96, 128, 192, 320)
MOST = 1536
RESOLUTION = 0.04
_OPTIMISTIC = 1.15


@dataclass(frozen=True)
class Example:
    """One population on one engine.

    Attributes:
        index: of `population_draws.draw`.
        workload: its keys.
        boundaries: by number of slots, in order.
        seconds: processor time of its simulations, so that a busy machine does not make a data set look dearer.
    """

    engine: str
    index: int
    workload: Mapping[str, Any]
    boundaries: tuple[Boundary, ...]
    seconds: float


@dataclass(frozen=True)
class CapacityData:
    """Engines and examples of a file, with the hash of what was read."""

    probes: Mapping[str, EngineProbe]
    examples: tuple[Example, ...]
    content_hash: str


def read_data(file: Path) -> CapacityData:
    """Read a data set; a last line that is cut off is left out.

    Raises:
        InputError: a line that is none of this kind; names file and row.
    """
    probes: dict[str, EngineProbe] = {}
    examples: dict[tuple[str, int], Example] = {}
    digest = sha256()
    lines = file.read_text().split("\n") if file.exists() else []
    for row, line in enumerate(lines, start=1):
        if not line or row == len(lines):  # without its newline it may be half of a line
            continue
        try:
            data = json.loads(line)
            if "probe" in data:
                found = EngineProbe.from_json(data["probe"])
                if found.engine in probes and probes[found.engine].physics != found.physics:
                    examples = {key: item for key, item in examples.items() if key[0] != found.engine}
                probes[found.engine] = found
            else:
                example = _example(data)
                examples[example.engine, example.index] = example
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{file}: row {row} does not belong to a data set of boundaries ({error})"
            ) from None
        digest.update(line.encode())
    return CapacityData(probes, tuple(examples.values()), digest.hexdigest()[:16])


def make_data(
    backend: BatchBackend,
    settings: Mapping[str, Json],
    file: Path,
    populations: Sequence[int],
    show: Callable[[int, int], None] = lambda done, total: None,
    duration_s: float = 3600.0,
    workers: int = 1,
) -> CapacityData:
    """Find the boundaries of populations on an engine, append them to a file as they are known, return all of it.

    Args:
        backend: simulates; with more than one worker it is sent to their processes.
        settings: all settings of the engine; `max_loras` is set here.
        file: read first: what it holds is not made again.
        populations: indices of `population_draws.draw`.
        show: called with (done, of) populations.
        duration_s: window of a simulation.
        workers: processes; populations are independent.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    _cut_torn_line(file)
    known = read_data(file)
    engine = engine_id(settings)
    own = known.probes.get(engine)
    with file.open("a") as out:
        stale = own is not None and own.physics != physics_of(backend)
        if own is None or stale:
            own = probe(backend, settings)
            out.write(json.dumps({"probe": own.as_json()}) + "\n")
            out.flush()
        done = {example.index for example in known.examples if example.engine == engine and not stale}
        missing = [index for index in populations if index not in done]
        tasks = [(backend, settings, own, index, duration_s) for index in missing]
        for count, example in enumerate(_labelled(tasks, workers), start=1):
            out.write(json.dumps(_line(example)) + "\n")
            out.flush()
            show(count, len(missing))
    return read_data(file)


_Task = tuple[BatchBackend, Mapping[str, Json], EngineProbe, int, float]


def _labelled(tasks: Sequence[_Task], workers: int) -> Iterator[Example]:
    if workers <= 1 or len(tasks) < 2:
        yield from map(_label, tasks)
        return
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(_label, tasks)


def _label(task: _Task) -> Example:
    backend, settings, engine, index, duration_s = task
    began_s = time.process_time()
    workload = draw(index, duration_s=duration_s)
    one = WorkloadPopulation(workload).adapters(30)
    start = int(_OPTIMISTIC * engine.one_tok_s / (float(one.load_tok_s.mean()) or 1.0))
    build = _builder(workload)
    boundaries = []
    for slots in LABEL_SLOTS:
        if slots > engine.most_slots(float(max(workload["ranks"]))):
            boundaries.append(Boundary(slots, 0, None, ()))
            continue
        asking = enclose(slots, start, MOST, RESOLUTION)
        boundaries.append(simulated(backend, settings, slots, asking, build))
        start = max(boundaries[-1].adapters, 1)
    return Example(engine.engine, index, workload, tuple(boundaries), time.process_time() - began_s)


def _builder(workload: Mapping[str, Any]) -> Callable[[int], WorkloadTables]:
    @lru_cache(maxsize=4)
    def build(n: int) -> WorkloadTables:
        return AdapterMixWorkload(**workload, n_adapters=n).build(int(workload["seed"]))

    return build


def _line(example: Example) -> dict[str, Json]:
    data = asdict(example)
    for boundary in data["boundaries"]:
        boundary["points"] = [
            [item["adapters"], item["share"], item["tok_s"], item["ttft_ms"], item["refused"]]
            for item in boundary["points"]
        ]
    return data


def _example(data: dict[str, Any]) -> Example:
    boundaries = tuple(
        Boundary(
            item["slots"],
            item["adapters"],
            item["fails"],
            tuple(
                Point(n, item["slots"], share, rate, ttft, why)
                for n, share, rate, ttft, why in item["points"]
            ),
        )
        for item in data["boundaries"]
    )
    return Example(data["engine"], data["index"], data["workload"], boundaries, data["seconds"])


def _cut_torn_line(file: Path) -> None:
    """End a file with its last whole line."""
    if not file.exists():
        return
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        file.write_bytes(whole)
