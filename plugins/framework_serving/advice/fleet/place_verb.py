"""What the verb `place` does: read adapters, plan, simulate every GPU, print, write what to deploy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from framework.configuration.composition import compose
from framework.configuration.study_config import resolved
from framework.contracts import BatchBackend, Deployed, Json, TableBlock
from framework.errors import UserError
from framework.report.terminal.terminal_tables import print_note, print_table
from framework_serving.advice.capacity.capacity_model import CapacityModel
from framework_serving.advice.capacity.workload_adapters import WorkloadPopulation
from framework_serving.advice.fleet.adapter_list import (
    Deployment,
    NamedAdapters,
    read_adapters,
    read_deployment,
)
from framework_serving.advice.fleet.fleet_bound import lower_bound
from framework_serving.advice.fleet.fleet_check import CheckedPlan, checked_plan
from framework_serving.advice.fleet.fleet_plan import MOST_EXACT, FleetPlan, PlacedGpu, exact_plan, plan_fleet
from framework_serving.advice.fleet.gpu_types import GpuType, Packer
from framework_serving.advice.fleet.learn_verb import FOLDER, MODEL, composed_engine
from framework_serving.advice.fleet.learned_advice import engine_of
from framework_serving.advice.fleet.replanning import Replan, replan
from framework_serving.advice.fleet.running_load import RunningLoad, logged_load, scraped_load
from framework_serving.advice.paste_command import paste_commands

_SHOWN = 20
"""Names that are printed of a long list."""


@dataclass(frozen=True)
class Hardware:
    """GPU types that can be had, with a backend that simulates them.

    Attributes:
        notes: what is to be said of the evidence.
    """

    kinds: tuple[GpuType, ...]
    settings: Mapping[str, Mapping[str, Json]]
    backend: BatchBackend
    model: CapacityModel
    notes: tuple[str, ...]


@dataclass(frozen=True)
class LoadSource:
    """Where the load is read from; at most one of the three.

    Attributes:
        adapters: file of one row an adapter.
        log: log of requests.
        metrics: URLs of the engines' `/metrics`, one for each GPU of the deployment.
        column: the log's column with the adapter.
        rank: of adapters whose rank nothing says.
        seconds: between the first and the last reading of `metrics`.
    """

    adapters: Path | None = None
    log: Path | None = None
    metrics: Sequence[str] = ()
    column: str = "adapter"
    rank: int = 16
    seconds: float = 30.0


def run_place(
    overrides: Sequence[str],
    source: LoadSource,
    gpus: Sequence[str],
    current: Path | None,
    headroom: float,
    simulate_with: str,
    out: Path | None,
    outputs: Path,
) -> int:
    """Plan, check, print; exit status 1 where a GPU of the plan starves all the same.

    Raises:
        UserError: no model, adapters that fit nowhere, unknown GPU; one line.
    """
    if not 0 <= headroom < 1:
        raise UserError(f"--headroom: must be at least 0 and below 1, got {headroom:g}")
    deployment = read_deployment(current) if current else None
    load = _load(overrides, source, deployment)
    named = load.named
    for remark in load.remarks:
        print(remark)
    hardware = known_hardware(overrides, gpus, simulate_with, outputs)
    fill = {kind.name: 1.0 - headroom for kind in hardware.kinds}
    packer = Packer(hardware.model, named.adapters.crowd_variance, fill)
    present = _present(deployment, named, hardware.kinds) if deployment else None
    again: list[Replan] = []

    def make(own: Packer) -> FleetPlan:
        if present is None:
            busy = int((named.adapters.rate_rps > 0).sum())
            planner = exact_plan if busy <= MOST_EXACT and _unlimited(hardware.kinds) else plan_fleet
            return planner(own, hardware.kinds, named.adapters)
        again.append(replan(own, hardware.kinds, named.adapters, present))
        return again[-1].plan

    try:
        checked = checked_plan(packer, make, named.adapters, hardware.backend, hardware.settings)
        bound = lower_bound(packer, hardware.kinds, named.adapters)
    except UserError as error:
        raise UserError(_with_name(str(error), named)) from None
    print_table(_table(checked, named, hardware.model))
    if present is not None and again:
        _print_moves(again[-1], present, named)
        _print_slots(again[-1], present)
    print(_summary(checked, named, bound))
    for note in hardware.notes:
        print_note(note)
    commands = [engine_command(gpu, named, hardware.settings) for gpu in checked.plan.gpus]
    for place, command in enumerate(commands):
        print(f"GPU {place}: {command}")
    if out is not None:
        engine = tuple(word for word in overrides if not word.lstrip("+").startswith("workload"))
        deployed = _deployment(checked.plan, named, hardware)
        replace(deployed, overrides=engine, gpu_types=tuple(gpus), headroom=headroom).save(out, commands)
        print_note(f"written: {out}; while it runs: python -m framework advise --running {out} --log FILE")
    return 1 if checked.starving else 0


def check_deployed(deployed: Deployed) -> int:
    """Compare a deployment with the load that it has now: what `advise --running` prints; see `run_place`."""
    runs = read_deployment(deployed.file)
    load = LoadSource(log=deployed.log, metrics=deployed.metrics, seconds=deployed.seconds)
    return run_place(
        runs.overrides,
        load,
        runs.gpu_types,
        current=deployed.file,
        headroom=runs.headroom,
        simulate_with="twin",
        out=deployed.out,
        outputs=deployed.outputs,
    )


def known_hardware(
    overrides: Sequence[str], gpus: Sequence[str], simulate_with: str, outputs: Path
) -> Hardware:
    """Return the GPU types named as NAME, NAME=COST or NAME=COST:NUMBER, with what was learned of them.

    Raises:
        UserError: no model, no GPU named, an unknown one.
    """
    file = outputs / FOLDER / MODEL
    if not file.exists():
        raise UserError(f"no learned model in {file}; make it: python -m framework learn-adapters")
    if not gpus:
        raise UserError("--gpu: name at least one type, e.g. --gpu h100-64gb or --gpu h100-64gb=3.5")
    model = CapacityModel.load(file)
    kinds, settings, notes = [], {}, []
    backend: BatchBackend | None = None
    for text in gpus:
        name, cost, available = _gpu_text(text)
        backend, own = composed_engine(simulate_with, [*overrides, f"gpu={name}"])
        engine = engine_of(model, backend, own)
        if engine.engine not in model.engines:
            notes.append(
                f"{name}: no population of this engine was learned from; the simulation of the plan decides"
            )
        kinds.append(GpuType(name, cost, engine, available))
        settings[name] = own
    assert backend is not None
    return Hardware(tuple(kinds), settings, backend, model, tuple(notes))


def _gpu_text(text: str) -> tuple[str, float, int | None]:
    name, _, rest = text.partition("=")
    cost, _, number = rest.partition(":")
    try:
        found = (name, float(cost) if cost else 1.0, int(number) if number else None)
    except ValueError:
        raise UserError(f"--gpu {text}: must be NAME, NAME=COST or NAME=COST:NUMBER") from None
    if found[1] <= 0 or (found[2] is not None and found[2] < 1):
        raise UserError(f"--gpu {text}: cost must be above 0, number at least 1")
    return found


def _load(overrides: Sequence[str], source: LoadSource, deployment: Deployment | None) -> RunningLoad:
    if sum(bool(item) for item in (source.adapters, source.log, source.metrics)) > 1:
        raise UserError("give one of --adapters, --log and --metrics")
    if source.log:
        return logged_load(source.log, source.column, deployment, source.rank)
    if source.metrics:
        if deployment is None:
            raise UserError("--metrics: needs the deployment that runs (--current FILE)")
        if source.seconds <= 0:
            raise UserError("--seconds: must be above 0")
        return scraped_load(source.metrics, source.seconds, deployment)
    return RunningLoad(read_adapters(source.adapters) if source.adapters else _composed(overrides))


def _composed(overrides: Sequence[str]) -> NamedAdapters:
    workload: dict[str, Any] = resolved(compose(list(overrides)), True).get("workload") or {}
    if "n_adapters" not in workload:
        raise UserError("which adapters? give --adapters FILE, or a population: workload=adapters")
    population = WorkloadPopulation(workload)
    number = population.settings.n_adapters
    return NamedAdapters(tuple(f"adapter-{place}" for place in range(number)), population.adapters(number))


def _unlimited(kinds: Sequence[GpuType]) -> bool:
    return all(kind.available is None for kind in kinds)


def _present(deployment: Deployment, named: NamedAdapters, kinds: Sequence[GpuType]) -> list[PlacedGpu]:
    known = {name: place for place, name in enumerate(named.names)}
    types = {kind.name: kind for kind in kinds}
    found = []
    for gpu, slots, names in deployment.gpus:
        if gpu not in types:
            raise UserError(f"--current: its GPU type '{gpu}' is not among --gpu {', '.join(types)}")
        places = np.array(sorted(known[name] for name in names if name in known), dtype=np.int64)
        found.append(PlacedGpu(types[gpu], slots, places, 0.0))
    return found


def _with_name(text: str, named: NamedAdapters) -> str:
    """Return a message about `adapter 3` with the adapter's name."""
    head, colon, rest = text.partition(": ")
    word, _, place = head.partition(" ")
    return (
        f"adapter '{named.names[int(place)]}'{colon}{rest}" if word == "adapter" and place.isdigit() else text
    )


def _table(checked: CheckedPlan, named: NamedAdapters, model: CapacityModel) -> TableBlock:
    adapters = named.adapters
    rows = []
    for place, (gpu, point) in enumerate(zip(checked.plan.gpus, checked.points, strict=True)):
        mine = adapters.some(gpu.adapters)
        state = point.refused or ("no" if point.serves else f"yes: {100 * (point.share or 0):.0f} % served")
        rows.append(
            [
                place,
                gpu.kind.name,
                len(mine),
                gpu.slots,
                int(mine.rank.max()),
                round(float(mine.rate_rps.sum()), 3),
                round(100 * gpu.load),
                None if point.tok_s is None else round(point.tok_s),
                None if point.ttft_ms is None else round(point.ttft_ms),
                state,
            ]
        )
    columns = [
        *("GPU", "type", "adapters", "slots", "largest rank", "requests/s"),
        *("load, learned (%)", "tok/s, simulated", "TTFT, simulated (ms)", "starves"),
    ]
    return TableBlock(
        f"Plan for {len(adapters)} adapters, learned from {model.populations} populations", columns, rows
    )


def _summary(checked: CheckedPlan, named: NamedAdapters, bound: float) -> str:
    silent = [name for name, rate in zip(named.names, named.adapters.rate_rps, strict=True) if rate <= 0]
    text = (
        f"{len(checked.plan.gpus)} GPUs, cost {checked.plan.cost:g}; no plan costs less than {bound:.2f} by what was "
        f"learned; simulated {checked.tries} time{'s' if checked.tries > 1 else ''}, "
    )
    starving = checked.starving
    text += f"GPUs {', '.join(map(str, starving))} starve" if starving else "none starves"
    if silent:
        some = ", ".join(silent[:_SHOWN]) + (" and others" if len(silent) > _SHOWN else "")
        text += (
            f"; {len(silent)} adapters had no requests ({some}): they are placed last, at rate 0, so that a "
            "request for one finds it"
        )
    return text


def _print_moves(found: Replan, present: Sequence[PlacedGpu], named: NamedAdapters) -> None:
    print(
        f"{len(found.moves)} of {len(named.names)} adapters move; {found.opened} GPUs more, {found.closed} given up; "
        f"too small had become: {', '.join(map(str, found.overloaded)) or 'none'}"
    )
    for move in found.moves[:_SHOWN]:
        origin = "new" if move.before is None else f"from {present[move.before].kind.name} {move.before}"
        print(f"  {named.names[move.adapter]}: {origin} to GPU {move.after}")
    if len(found.moves) > _SHOWN:
        print(f"  and {len(found.moves) - _SHOWN} more")


def _print_slots(found: Replan, present: Sequence[PlacedGpu]) -> None:
    """Print which GPUs that stay should have another number of slots."""
    homes = {move.adapter: move.after for move in found.moves}
    for place, gpu in enumerate(found.plan.gpus):
        stayed = [item for item in gpu.adapters if homes.get(int(item)) != place]
        old = next((item for item in present if len(stayed) and stayed[0] in item.adapters), None)
        if old is not None and old.slots != gpu.slots:
            print(f"GPU {place}: --max-loras {old.slots} has become wrong, set {gpu.slots}")


def engine_command(gpu: PlacedGpu, named: NamedAdapters, settings: Mapping[str, Mapping[str, Json]]) -> str:
    """Return the engine's own command for a GPU of a plan."""
    own = dict(settings[gpu.kind.name])
    model = own.pop("model")
    rank = gpu.kind.engine.usable_rank(float(named.adapters.rank[gpu.adapters].max()))
    backend = {**own, "max_loras": gpu.slots, "max_lora_rank": rank, "max_cpu_loras": len(gpu.adapters)}
    config = {"backend": backend, "model": model, "workload": {"n_adapters": len(gpu.adapters)}}
    return next(iter(paste_commands(config)), "no command: the model has no path or id")


def _deployment(plan: FleetPlan, named: NamedAdapters, hardware: Hardware) -> Deployment:
    adapters = named.adapters
    gpus = tuple(
        (gpu.kind.name, gpu.slots, tuple(named.names[place] for place in gpu.adapters)) for gpu in plan.gpus
    )
    return Deployment(
        hardware.kinds[0].engine.model,
        gpus,
        {name: int(adapters.rank[place]) for place, name in enumerate(named.names)},
        {name: float(adapters.rate_rps[place]) for place, name in enumerate(named.names)},
    )
