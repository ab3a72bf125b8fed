"""A grid of 75,000 one-hour simulations of adapter serving (arXiv 2508.08343): cores, memory, resumption.

    python benchmarks/twin_grid.py --sample 200           # a random part, and what the whole would take
    python benchmarks/twin_grid.py --results grid.csv     # everything; run it again to go on where it stopped

The grid: adapters and slots {16 … 384} with slots ≤ adapters, all triples of ten request rates, seven rank
triples (../shared/science/adapter_serving.md §2), repeated with other seeds up to 75,000. Every hour of load
is drawn in full, overloaded or not.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import resource
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from framework_twin.kernel.batch import Refusal, run_batch
from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests
from framework_twin.kernel.simulate import simulate
from framework_twin.physics.step_time import parameter_vector

SIMULATIONS = 75_000
HORIZON_S = 3600.0
COUNTS = (16, 32, 64, 96, 128, 160, 192, 256, 320, 384)
RATES_RPS = (3.2, 1.6, 0.8, 0.4, 0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125)
RANKS = ((8, 8, 8), (8, 8, 16), (8, 16, 16), (16, 16, 16), (8, 16, 32), (8, 8, 32), (32, 32, 32))
LAW = parameter_vector(
    host_s=0.004,
    host_per_seq_s=1e-5,
    weights_s=0.0095,
    compute_per_token_s=2e-5,
    per_context_token_s=8e-8,
    lora_s=0.004,
    lora_per_adapter_s=0.0003,
)
"""About Llama-3.1-8B on an H100; the speed depends on it only through the number of steps."""


@dataclass(frozen=True)
class Cell:
    """One configuration of the grid."""

    adapters: int
    slots: int
    seed: int
    rates_rps: tuple[float, float, float]
    ranks: tuple[int, int, int]


def grid() -> list[Cell]:
    pairs = [(adapters, slots) for adapters in COUNTS for slots in COUNTS if slots <= adapters]
    triples = list(itertools.combinations(RATES_RPS, 3))
    once = itertools.product(pairs, triples, RANKS)
    cells = [
        Cell(*pair, 0, rates, ranks) for pair, rates, ranks in once if kv_tokens(pair[1], max(ranks)) > 0
    ]
    repeats = itertools.cycle(cells)
    while len(cells) < SIMULATIONS:
        cells.append(replace(next(repeats), seed=len(cells)))
    return cells


def kv_tokens(slots: int, max_rank: int) -> int:
    """KV capacity of Llama-3.1-8B, a fit of the study (science note, §2); 0 where the server does not start."""
    return max(0, int(307_529 - 43.98 * slots * max_rank - 48.55 * slots))


def run_cell(cell: Cell) -> tuple[float, int, int, float]:
    """Simulate an hour: total tokens per second of finished requests, finished, arrived, processor seconds."""
    began_s = time.process_time()
    rng = np.random.default_rng(abs(hash(cell)) % 2**32)
    requests, ranks = an_hour(cell, rng)
    max_rank = max(cell.ranks)
    engine = EngineConfig(
        kv_blocks=kv_tokens(cell.slots, max_rank) // 16,
        max_num_seqs=2048,
        max_num_batched_tokens=2048,
        max_loras=cell.slots,
        max_lora_rank=max_rank,
        horizon_s=HORIZON_S,
    )
    adapters = AdapterTable(rank=ranks, cpu_to_gpu_s=np.full(cell.adapters, 0.007))
    output = simulate(engine, requests, LAW, adapters)
    done = output.finished
    tokens = int(requests.input_tokens[done].sum() + requests.output_tokens[done].sum())
    seconds = time.process_time() - began_s
    return tokens / HORIZON_S, int(done.sum()), len(requests), seconds


def an_hour(cell: Cell, rng: np.random.Generator) -> tuple[Requests, np.ndarray]:
    """Draw Poisson arrivals at the adapters' rates, assigned round robin and shuffled, with gamma lengths."""
    shuffled = rng.permutation(cell.adapters).astype(np.int32)
    members = [shuffled[kind::3] for kind in range(3)]
    rates = np.array([rate * len(group) for rate, group in zip(cell.rates_rps, members, strict=True)])
    n = max(1, int(rng.poisson(rates.sum() * HORIZON_S)))
    gaps = rng.standard_exponential(n + 1)
    arrival_s = np.cumsum(gaps[:-1]) * (HORIZON_S / gaps.sum())
    # One uniform number says which rate a request's adapter has, and which of the adapters of that rate it is.
    place = rng.random(n) * rates.sum()
    kind = (place >= rates[0]).astype(np.int32) + (place >= rates[0] + rates[1])
    sizes = np.array([len(group) for group in members])
    starts = np.r_[0, np.cumsum(rates)[:2]]
    within = ((place - starts[kind]) * (sizes / rates)[kind]).astype(np.int32)
    order = np.concatenate(members)
    first = np.r_[0, np.cumsum(sizes)[:2]]
    adapter = order[np.minimum(first[kind] + within, cell.adapters - 1)]
    inputs, outputs = lengths()
    pick = rng.integers(0, len(inputs), n, dtype=np.int32)
    ranks = np.resize(cell.ranks, cell.adapters).astype(np.int32)
    return Requests(arrival_s, inputs[pick], outputs[pick], adapter), ranks


@cache
def lengths() -> tuple[np.ndarray, np.ndarray]:
    """Draw 100,000 pairs of prompt and output tokens with the study's moments (222.6 ± 246.5, 198.6 ± 206)."""
    rng = np.random.default_rng(1)
    inputs, outputs = rng.gamma(0.815, 273.0, 100_000), rng.gamma(0.93, 213.7, 100_000)
    return np.clip(inputs, 1, 2048).astype(np.int32), np.clip(outputs, 1, 2048).astype(np.int32)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", type=int, help="run so many random cells only")
    parser.add_argument("--results", type=Path, help="keep results here, and leave out what it already holds")
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args()

    cells = grid()
    whole = len(cells)
    if options.sample:
        chosen = np.random.default_rng(0).choice(whole, options.sample, replace=False)
        cells = [cells[i] for i in chosen]
    done: set[int] = set()
    if options.results and options.results.exists():
        done = {int(line.split(",")[0]) for line in options.results.read_text().splitlines() if line}
        print(f"{len(done)} of {len(cells)} cells are done")
    todo = [index for index in range(len(cells)) if index not in done]

    began_s = time.monotonic()
    cpu_s = 0.0
    seen = 0
    with (options.results or Path(os.devnull)).open("a") as sink:
        writer = csv.writer(sink)
        for item in run_batch(run_cell, [cells[i] for i in todo], workers=options.workers):
            seen += 1
            if isinstance(item.outcome, Refusal):
                raise SystemExit(item.outcome.reason)
            cpu_s += item.outcome[3]
            writer.writerow([todo[item.index], *item.outcome])
            if seen % 500 == 0:
                sink.flush()
                left_s = (time.monotonic() - began_s) / seen * (len(todo) - seen)
                print(f"{seen + len(done)} of {len(cells)}, {left_s / 60:.1f} min left", flush=True)
    wall_s = time.monotonic() - began_s
    if seen == 0:
        return
    memory = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{seen} one-hour simulations: {wall_s:.1f} s wall, {cpu_s:.1f} CPU-s, {cpu_s / seen * 1e3:.1f} ms each"
    )
    print(
        f"{whole} of them: {cpu_s / seen * whole / 60:.0f} CPU-min, {cpu_s / seen * whole / 120:.0f} min on 2 cores"
    )
    print(f"largest process: {max(usage.ru_maxrss for usage in memory) / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
