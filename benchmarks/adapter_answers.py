"""How long an answer for one population of adapters takes: by the exact search, and by a learned model.

    python benchmarks/adapter_answers.py outputs/adapter_capacity/model.json [POPULATIONS]

The exact search is the advisor's: all numbers of slots, five seeds, simulated hours. The learned answer is timed
alone, without its simulations. Populations are drawn as for the data set, but none of its numbers. All is done on one
core, and times are of the processor, so that a busy machine does not change them.
"""

from __future__ import annotations

import argparse
import os
import time
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

from framework.contracts import WorkloadTables
from framework_serving.advice.adapter_search import AdapterSearch
from framework_serving.advice.capacity.capacity_model import CapacityModel
from framework_serving.advice.capacity.engine_probes import engine_id
from framework_serving.advice.capacity.learned_choice import learned_answer
from framework_serving.advice.capacity.population_draws import draw
from framework_serving.advice.capacity.workload_adapters import WorkloadPopulation
from framework_serving.advice.fleet.learn_verb import composed_engine
from framework_serving.workloads.adapter_mix import AdapterMixWorkload

FIRST = 100_000
"""Number of the first population; those of a data set are smaller."""
REPEATS = 20
ENGINE = ("model=llama-3.1-8b", "gpu=h100-64gb", "backend.max_num_seqs=2048")


def main(file: str, populations: int) -> None:
    """Print a line a population, then the median and the longest of both."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # with more cores the search starts processes
    model = CapacityModel.load(Path(file))
    backend, settings = composed_engine("twin", ENGINE)
    engine = model.engines[engine_id(settings)]
    exact, instant = [], []
    for index in range(FIRST, FIRST + populations):
        workload = draw(index)
        population = WorkloadPopulation(workload)
        began = time.process_time()
        for _ in range(REPEATS):
            learned_answer(model, engine, population.adapters)
        instant.append(1e3 * (time.process_time() - began) / REPEATS)
        build, seed = _builder(workload), int(workload["seed"])
        began = time.process_time()
        found = AdapterSearch(backend, settings, build, seeds=range(seed, seed + 5)).find(32)
        exact.append(time.process_time() - began)
        print(
            f"{workload['name']}: {found.adapters} adapters, {found.simulations} simulations in {exact[-1]:.1f} s, "
            f"learned in {instant[-1]:.0f} ms",
            flush=True,
        )
    print(f"exact: {median(exact):.1f} s in the median, {max(exact):.1f} s at most")
    print(
        f"learned: {median(instant[1:]):.0f} ms in the median, {max(instant[1:]):.0f} ms at most after the first"
    )


def _builder(workload: dict[str, Any]) -> Any:
    @lru_cache(maxsize=8)
    def build(adapters: int, seed: int) -> WorkloadTables:
        return AdapterMixWorkload(**workload, n_adapters=adapters).build(seed)

    return build


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("populations", type=int, nargs="?", default=20)
    given = parser.parse_args()
    if given.populations < 2:
        parser.error("POPULATIONS: at least 2")
    main(given.model, given.populations)
