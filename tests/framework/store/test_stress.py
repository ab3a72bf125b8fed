"""Nobody loses a finished run, whoever dies when: killed writers, killed ingests, a reader throughout."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from framework.store.bundles.bundle import verify_bundle
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store

WRITERS = 64
RUNS_EACH = 5
SAMPLES = 50

# Forks the writers from one warm process, kills a tenth of them at random points, and waits for the rest.
FLEET = """
import os, random, signal, sys, time
import pyarrow as pa
from framework.contracts import Metric
from framework.run_record import RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.bundles.heartbeat import Heartbeat
from framework.store.database.schema import declared_tables
outputs, seed, writers, runs, samples = sys.argv[1], *map(int, sys.argv[2:6])
declared_tables()

def write(writer):
    rng = random.Random(seed * 1000 + writer)
    for number in range(runs):
        time.sleep(rng.random() * 0.2)
        run_id = f"run-{writer:02d}-{number}"
        record = RunRecord(run_id, run_id, "stress", "none", "done", "2026-01-01T00:00:00+00:00", job_key=run_id,
                           metrics=(Metric("a_ms", 1.0), Metric("b_ms", 2.0)), config={"n": number})
        table = pa.table({"t_s": [float(i) for i in range(samples)], "name": ["running"] * samples,
                          "value": [rng.random() for _ in range(samples)]})
        with Heartbeat(outputs, record, period_s=0.2):
            time.sleep(rng.random() * 0.2)
            write_bundle(outputs, record, {"samples": table})

children = {}
for writer in range(writers):
    child = os.fork()
    if child == 0:
        write(writer)
        os._exit(0)
    children[child] = writer
rng = random.Random(seed)
doomed = rng.sample(sorted(children), writers // 10)
for child in doomed:
    time.sleep(rng.random() * 0.4)
    os.kill(child, signal.SIGKILL)
for child in children:
    os.waitpid(child, 0)
print(len(doomed))
"""

DONE_RUNS = "SELECT count(*), count(DISTINCT run_id) FROM runs WHERE status = 'done'"

INGEST_FOREVER = """
import sys, time
from framework.store.database.ingest import ingest
while True:
    ingest(sys.argv[1])
    time.sleep(0.05)
"""


def torn_rows(store: Store) -> int:
    """Runs that are done but do not have all their metrics and samples, or have them twice."""
    query = f"""
        SELECT count(*) FROM (SELECT run_id FROM runs WHERE status = 'done') r
        LEFT JOIN (SELECT run_id, count(*) AS n FROM metrics GROUP BY 1) m USING (run_id)
        LEFT JOIN (SELECT run_id, count(*) AS n FROM samples GROUP BY 1) s USING (run_id)
        WHERE m.n IS DISTINCT FROM 2 OR s.n IS DISTINCT FROM {SAMPLES}"""
    ((count,),) = store.rows(query)[1]
    return int(count)


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize("seed", [1, 2])
def test_every_bundle_is_in_the_store_once_though_writers_and_ingests_are_killed(outputs, add_run, seed):
    add_run("first", {"a_ms": 1.0, "b_ms": 2.0}, tables={})
    ingest(outputs)
    store = Store(outputs)
    arguments = [str(outputs), str(seed), str(WRITERS), str(RUNS_EACH), str(SAMPLES)]
    fleet = subprocess.Popen([sys.executable, "-c", FLEET, *arguments], stdout=subprocess.PIPE, text=True)
    rng = random.Random(seed)
    ingester = subprocess.Popen([sys.executable, "-c", INGEST_FOREVER, str(outputs)])
    seen, queries, kills = 1, 0, 0
    next_kill = time.monotonic() + 2
    while fleet.poll() is None:
        ((total, distinct),) = store.rows(
            "SELECT count(*), count(DISTINCT run_id) FROM runs WHERE status = 'done'"
        )[1]
        assert total == distinct >= seen
        assert torn_rows(store) <= 1  # the first run has no samples
        seen, queries = total, queries + 1
        if time.monotonic() > next_kill:
            os.kill(ingester.pid, signal.SIGKILL)
            ingester.wait()
            kills += 1
            ingester = subprocess.Popen([sys.executable, "-c", INGEST_FOREVER, str(outputs)])
            next_kill = time.monotonic() + 1 + 2 * rng.random()
    assert ingester.poll() is None, "an ingest failed"
    ingester.kill()
    ingester.wait()
    assert fleet.stdout is not None
    assert fleet.stdout.read().strip() == str(WRITERS // 10)
    assert queries > 3

    landed = {name for name in os.listdir(outputs / "runs") if not name.startswith(".")}
    for name in landed:
        verify_bundle(outputs / "runs" / name)
    report = ingest(outputs)
    assert report.quarantined == []
    stored = [run_id for (run_id,) in store.rows("SELECT run_id FROM runs WHERE status = 'done'")[1]]
    assert sorted(stored) == sorted(landed)
    assert len(landed) > RUNS_EACH * (WRITERS - WRITERS // 10)
    assert torn_rows(store) == 1
    unfinished = store.rows("SELECT run_id, status FROM runs WHERE status <> 'done'")[1]
    assert all(status == "stale" for _, status in unfinished)
    assert {run_id for run_id, _ in unfinished}.isdisjoint(landed)
    leftovers = [name for name in os.listdir(outputs) if name.startswith(".tmp")]
    leftovers += [name for name in os.listdir(outputs / "runs") if name.startswith(".tmp")]
    assert leftovers == []


DYING_INGEST = """
import os, random, signal, sys, threading, time
from framework.store.database import ingest
from framework.store.bundles import batches as bundle_batches
bundle_batches.BATCH_BUNDLES, bundle_batches.READ_AHEAD, ingest.PUBLISH_EVERY_S = 20, 20, 0.2
def die(after_s):
    time.sleep(after_s)
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=die, args=(float(sys.argv[2]),), daemon=True).start()
ingest.ingest(sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.integration
def test_an_ingest_killed_at_any_moment_loses_and_repeats_nothing(outputs, add_run):
    for number in range(200):
        add_run(f"run-{number:03d}")
    started = time.monotonic()
    ingest(shutil.copytree(outputs, outputs.with_name("measured")))
    whole_s = time.monotonic() - started
    rng = random.Random(0)
    outcomes = []
    # moments well within what one ingest takes on this machine, so that most of them fall into its work
    for _ in range(12):
        after = str(rng.random() * 0.6 * whole_s)
        outcomes.append(
            subprocess.run([sys.executable, "-c", DYING_INGEST, str(outputs), after], check=False).returncode
        )
        if (outputs / "framework.duckdb").exists():
            ((total, distinct),) = Store(outputs).rows("SELECT count(*), count(DISTINCT run_id) FROM runs")[1]
            assert total == distinct
    assert -signal.SIGKILL in outcomes
    ingest(outputs)
    rows = Store(outputs).rows("SELECT run_id, count(*) FROM samples GROUP BY 1 ORDER BY 1")[1]
    assert rows == [(f"run-{number:03d}", 4) for number in range(200)]
    assert Store(outputs).rows("SELECT count(*) FROM runs")[1] == [(200,)]
    assert [name for name in os.listdir(outputs) if name.startswith(".tmp")] == []
