"""The plugin inside the framework: its own study, from the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

CommandLine = Callable[..., subprocess.CompletedProcess[str]]
LOG = """run,servers,arrival_s,start_s,end_s
monday,1,100,100,160
monday,1,110,160,200
"""


def _rows(framework: CommandLine, sql: str) -> list[dict[str, object]]:
    found = framework("sql", sql, "--format", "json")
    assert found.returncode == 0, found.stderr
    rows: list[dict[str, object]] = json.loads(found.stdout)
    return rows


def test_one_command_runs_the_study_and_a_second_skips_it(framework: CommandLine, tmp_path: Path) -> None:
    first = framework("+experiment=queue_staffing", "workload.customers=2000")
    assert first.returncode == 0, first.stderr
    assert "14 run, 0 skipped as done, 0 failed" in first.stdout
    assert "wait_theory_s" in first.stdout
    assert "1 reproduced, 0 not reproduced, 1 not evaluated" in first.stdout
    second = framework("+experiment=queue_staffing", "workload.customers=2000")
    assert "0 run, 14 skipped as done, 0 failed" in second.stdout

    runs = _rows(framework, "SELECT wait_mean_s, process_cpu_s, process_rss_peak_mib, sanity FROM results")
    assert len(runs) == 14
    assert all(row["wait_mean_s"] is not None and row["process_cpu_s"] is not None for row in runs)
    assert all(row["customers"] == 2000 for row in _rows(framework, "SELECT customers FROM queue_waits"))
    advice = _rows(framework, "SELECT subject, overrides FROM advice")
    assert all("backend.servers=" in str(row["overrides"]) for row in advice)
    assert {row["subject"] for row in advice} >= {"fifo, 8/s", "sjf, 8/s"}

    report = framework("report")
    assert report.returncode == 0, report.stderr
    (page,) = tmp_path.glob("outputs/reports/**/*.html")
    assert "Waits against servers" in page.read_text()


def test_the_study_shrinks_like_any_other(framework: CommandLine) -> None:
    assert framework("+experiment=queue_staffing", "scale=toy").returncode == 0
    assert _rows(framework, "SELECT DISTINCT customers FROM queue_waits") == [{"customers": 24}]


def test_the_studys_own_batch_system_carries_it_out(framework: CommandLine, tmp_path: Path) -> None:
    done = framework(
        "+experiment=queue_staffing", "scale=toy", "hydra/launcher=overnight", "hydra.launcher.runs_per_job=4"
    )
    assert done.returncode == 0, done.stderr
    assert "2 jobs with 8 runs submitted to overnight" in done.stderr
    assert len(list(tmp_path.glob("outputs/sweeps/*.jobs/*/1.status"))) == 1


def test_a_misspelt_key_and_a_bad_choice_are_one_line(framework: CommandLine) -> None:
    for override, hint in (
        ("backend.server=3", "did you mean 'backend.servers'?"),
        ("backend.discipline=lifo", "fifo"),
        ("backend.servers=0", "'backend.servers': must be at least 1"),
    ):
        refused = framework("+experiment=queue_staffing", "hydra.mode=RUN", override)
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: ")
        assert refused.stderr.count("\n") == 1
        assert hint in refused.stderr


def test_logged_waits_are_imported_once(framework: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    for _ in range(2):
        assert framework("import", "queue-log", "log.csv").returncode == 0
    assert _rows(framework, "SELECT wait_mean_s, utilisation FROM results") == [
        {"wait_mean_s": 25.0, "utilisation": 1.0}
    ]


def test_the_verb_answers_and_refuses_in_one_line(framework: CommandLine) -> None:
    answer = framework("erlang-c", "--arrival-rate-hz", "1", "--service-mean-s", "1", "--servers", "2")
    assert (answer.returncode, answer.stdout) == (0, "0.333333 s\n")
    refused = framework("erlang-c", "--arrival-rate-hz", "2", "--service-mean-s", "1", "--servers", "2")
    assert refused.returncode == 1
    assert refused.stderr == "error: 2 servers can't keep up with a load of 2\n"


def test_a_counter_that_has_become_too_small_is_told(framework: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    said = []
    for servers in (1, 12):
        (tmp_path / "counter.yaml").write_text(f"kind: queue_counter\nservers: {servers}\n")
        answer = framework("advise", "--running", "counter.yaml", "--log", "log.csv")
        said.append((answer.returncode, answer.stdout))
    assert said == [(1, "1 servers can't keep up: set servers=12\n"), (0, "12 servers keep up, 12 would\n")]


def test_the_plugin_is_listed_with_all_it_offers(framework: CommandLine) -> None:
    listed = framework("plugins")
    assert listed.returncode == 0
    for word in (
        "framework-queue-example",
        "queue-log",
        "queue_staffing",
        "customers",
        "staffing",
        "process",
    ):
        assert word in listed.stdout
    assert "queue: process memory" in framework("doctor").stdout
