"""Seconds of each page of the dashboard, and memory of its server, over a large store.

    python benchmarks/dashboard_pages.py [RUNS] [SAMPLES_A_RUN]
    python benchmarks/dashboard_pages.py --outputs OUTPUTS   # both pages of every experiment of a store that is there

The runs are made up: a grid of models, batch sizes and seeds with 20 parameters and 40 metrics each. Every page is
asked twice: the first answer of the server, and the same again. CPU seconds are those of the server and its process
for queries: on a machine that does other work too, they say more than the time on the clock. Asked: each page within
a second after its first load, and a server within 1 GiB, at 10,000 runs and 20 million samples.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import duckdb
import psutil

from framework.plugins import metric_definitions
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.layout import database_path
from framework.store.views.results_view import build_results

_FILL = """
INSERT INTO runs BY NAME SELECT printf('r%06d', i) AS run_id, 'k' || i AS run_key, 'study' || (i % 5) AS experiment,
    'sweep' || (i % 50) AS sweep_id, 'twin' AS backend, 'done' AS status, 'pass' AS sanity, 'm' || (i % 4) AS model,
    'g' || (i % 3) AS gpu, 'c' || (i // 2) AS config_key, i % 2 AS seed, 0 AS repeat,
    TIMESTAMP '2026-01-01' + to_seconds(i) AS started_at FROM range({runs}) t(i);
INSERT INTO params BY NAME SELECT printf('r%06d', i) AS run_id, 'backend.p' || p AS name,
    ((i // 2) % (p + 2))::VARCHAR AS value, ((i // 2) % (p + 2))::DOUBLE AS number
    FROM range({runs}) t(i), range(20) s(p);
INSERT INTO params BY NAME SELECT printf('r%06d', i) AS run_id, 'model.name' AS name, 'm' || (i % 4) AS value
    FROM range({runs}) t(i);
INSERT INTO metrics BY NAME SELECT printf('r%06d', i) AS run_id, m AS name, 100 + 50 * random() AS value
    FROM range({runs}) t(i), (SELECT unnest({metrics}) AS m) s;
INSERT INTO samples BY NAME SELECT printf('r%06d', i) AS run_id, t_s * 0.5 AS t_s, n AS name, random() * t_s AS value
    FROM range({runs}) t(i), (SELECT unnest(['running', 'waiting', 'kv_usage', 'power_w']) AS n) s,
         range({points}) u(t_s);
"""
_ASKED = ("total_tok_s", "output_tok_s", "itl_mean_ms", "itl_p99_ms", "ttft_p99_ms")
_PAGES = {
    "overview": "/",
    "runs": "/runs",
    "runs, filtered": "/runs?model=m1&q=total_tok_s>120&sort=itl_mean_ms",
    "runs, page 100": "/runs?page=100",
    "experiment": "/experiment?name=study1",
    "a run": "/run/r{middle:06d}",
    "Pareto, all runs": "/pareto?up=total_tok_s&across=itl_mean_ms&by=model",
    "Pareto, one experiment": "/pareto?up=output_tok_s&across=ttft_p99_ms&from=study1",
    "effects": "/effects?metric=total_tok_s",
    "cost": "/cost?work=output_tok_s&across=itl_p99_ms&price=2&machines=",
    "predictions": "/predictions",
    "compare": "/compare?a=sweep1&b=sweep2",
    "what if": "/what-if?rate_rps=7",
    "live": "/live",
    "SQL": "/sql?q=SELECT * FROM latest ORDER BY total_tok_s DESC",
    "SQL, all samples": "/sql?q=SELECT name, avg(value), max(value) FROM samples GROUP BY name",
}


def main(runs: int, samples: int) -> None:
    """Make the store, start a server, and print a line a page."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder)
        (outputs / "runs").mkdir()
        ingest(outputs)
        metrics = list(dict.fromkeys([*_ASKED, *metric_definitions()]))[:40]
        with duckdb.connect(str(database_path(outputs))) as connection:
            connection.execute(_FILL.format(runs=runs, metrics=metrics, points=samples // 4))
            build_results(connection)
        size_mib = database_path(outputs).stat().st_size / 2**20
        print(f"{runs:,} runs, {runs * (samples // 4) * 4:,} samples, database {size_mib:,.0f} MiB")
        ask(outputs, {name: address.format(middle=runs // 2) for name, address in _PAGES.items()})


def experiments(outputs: Path) -> dict[str, str]:
    """Return the addresses of the pages of each experiment: its answer, and the figures of its report."""
    names = Store(outputs).query("SELECT DISTINCT experiment FROM runs ORDER BY 1")["experiment"].to_pylist()
    parts = ("answer", "evidence")
    return {f"{name}, {part}": f"/experiment?name={name}&part={part}" for name in names for part in parts}


def ask(outputs: Path, pages: Mapping[str, str]) -> None:
    """Start a server and print a line a page (its name → its address)."""
    began_s = time.perf_counter()
    command = [sys.executable, "-m", "framework", "dashboard", "--port", "0", "--refresh", "0"]
    server = subprocess.Popen(
        [*command, "--timeout", "30", "--outputs", str(outputs)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        found = re.match(r"(http://\S+)", server.stdout.readline())
        assert found is not None
        print(f"start {time.perf_counter() - began_s:.2f} s, {_cpu_s(server.pid):.2f} CPU-s")
        _ask_all(found.group(1).rstrip("/"), server.pid, pages)
    finally:
        server.terminate()
        server.wait()


def _ask_all(home: str, pid: int, pages: Mapping[str, str]) -> None:
    print(f"{'page':24} {'first':>14} {'again':>14} {'KiB':>7}   s / CPU-s of the server")
    for name, address in pages.items():
        path = quote(address, safe="/?&=")
        took, size = [], 0
        for _ in range(2):
            cpu_s, began_s = _cpu_s(pid), time.perf_counter()
            with urllib.request.urlopen(home + path) as answer:
                size = len(answer.read())
            took.append(f"{time.perf_counter() - began_s:6.2f} / {_cpu_s(pid) - cpu_s:5.2f}")
        print(f"{name:24} {took[0]:>14} {took[1]:>14} {size / 1024:7.0f}")
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    peaks = [_peak_mib(process.pid) for process in processes]
    print(f"peak memory: {', '.join(f'{peak:,.0f} MiB' for peak in peaks)} (server, process of the queries)")


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and its children."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(process.cpu_times().user + process.cpu_times().system for process in processes)


def _peak_mib(pid: int) -> float:
    """Return the largest resident memory of a process so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return float(found.group(1)) / 1024 if found else float("nan")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=int, nargs="?", default=10_000)
    parser.add_argument("samples", type=int, nargs="?", default=2_000)
    parser.add_argument("--outputs", type=Path)
    arguments = parser.parse_args()
    if arguments.outputs:
        ask(arguments.outputs, experiments(arguments.outputs))
    else:
        main(arguments.runs, arguments.samples)
