"""Seconds of what `advise` and `pareto` read and compute over a store of many runs.

    python benchmarks/first_answer.py [RUNS]

The runs are made up: a grid of models, batch sizes and seeds with throughput, latency and 30 parameters each. Asked:
a first answer within a second at 10,000 runs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from framework.analysis.objectives import KnownMetrics, comparable
from framework.analysis.setting_fronts import front_query, setting_fronts
from framework.report.answer_words import find_answers
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.layout import database_path

_FILL = """
INSERT INTO runs BY NAME SELECT 'r' || i AS run_id, 'k' || i AS run_key, 'study' AS experiment, 'twin' AS backend,
    'done' AS status, 'm' || (i % 4) AS model, 'c' || (i // 2) AS config_key, i % 2 AS seed, 0 AS repeat,
    TIMESTAMP '2026-01-01' + to_seconds(i) AS started_at FROM range({runs}) t(i);
INSERT INTO params BY NAME SELECT 'r' || i AS run_id, 'backend.p' || p AS name, ((i // 2) % (p + 2))::VARCHAR AS value
    FROM range({runs}) t(i), range(30) s(p);
INSERT INTO params BY NAME SELECT 'r' || i AS run_id, 'model.name' AS name, 'm' || (i % 4) AS value
    FROM range({runs}) t(i);
INSERT INTO metrics BY NAME SELECT 'r' || i AS run_id, m AS name, 100 + 50 * random() AS value
    FROM range({runs}) t(i), (SELECT unnest(['output_tok_s', 'itl_p99_ms', 'ttft_p99_ms', 'total_tok_s']) AS m) s;
"""


def _timed(name: str, call: Callable[[], object]) -> None:
    begin = time.perf_counter()
    call()
    print(f"{name:32} {time.perf_counter() - begin:6.2f} s")


def main(runs: int) -> None:
    """Make the store and print a line a question."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder)
        (outputs / "runs").mkdir()
        ingest(outputs)
        with duckdb.connect(str(database_path(outputs))) as connection:
            connection.execute(_FILL.format(runs=runs))
        store = Store(outputs)
        known = KnownMetrics.read(store)
        slos = ["ttft_p99_ms=130", "itl_p99_ms=140"]
        for turn in ("first", "again"):
            _timed(
                f"advise, {turn}, {runs:,} runs",
                lambda: find_answers(store, "output_tok_s:higher", slos, None, ["model"], []),
            )
        axes = [known.objective(name) for name in ("output_tok_s", "itl_p99_ms", "ttft_p99_ms")]
        query = front_query(axes, [], comparable(store, ["model"]), [])
        _timed(f"pareto, {runs:,} runs", lambda: setting_fronts(store, query, axes))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=int, nargs="?", default=10_000)
    main(parser.parse_args().runs)
