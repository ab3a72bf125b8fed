"""`metrics=nsight`: a stand-in for the tools at the command line; the run goes on whatever they do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.contracts import ProcessWrapper, Result, RunContext
from framework.errors import ConfigError
from framework_metrics.nsight import tools
from framework_metrics.nsight.collector import NsightCollector
from framework_metrics.nsight.metric_definitions import COUNTER_METRICS, NSIGHT_METRICS, TIMELINE_METRICS
from framework_metrics.nsight.settings import NsightSettings
from tests.framework_metrics.nsight_exports import decode_kernels, decode_trace, ncu_raw, write_sqlite

REPOSITORY = Path(__file__).parents[3]
PAGE = (REPOSITORY / "docs" / "nsight.md").read_text()

# The parts of the command lines that matter: where the report goes, and the command after the options.
STAND_IN = """#!{python}
import os, shutil, subprocess, sys
words, export = sys.argv[1:], os.environ["FAKE_EXPORT"]
if "--csv" in words:
    print(open(export).read(), end="")
elif words[0] == "export":
    if os.environ.get("FAKE_FAILS") == "export":
        sys.exit("Importer error: the report is truncated")
    shutil.copy(export, next(word for word in words if word.startswith("--output=")).partition("=")[2])
else:
    words = words[1:] if words[0] == "profile" else words
    report = next(w for w in words if w.startswith(("--output=", "--export="))).partition("=")[2]
    while words and words[0].startswith("-"):
        words.pop(0)
    status = subprocess.call(words)
    if os.environ.get("FAKE_FAILS") != "report":
        shutil.copy(export, report + ("{suffix}"))
    sys.exit(status)
"""


@pytest.fixture
def fake_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Put stand-ins for `nsys` and `ncu` on the path; they export the given file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool, suffix in (("nsys", ".nsys-rep"), ("ncu", ".ncu-rep")):
        script = folder / tool
        script.write_text(STAND_IN.format(python=sys.executable, suffix=suffix))
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def export(file: Path) -> None:
        monkeypatch.setenv("FAKE_EXPORT", str(file))

    return export


def profiled(collector: NsightCollector, scratch: Path, *processes: str) -> Result:
    """Return what the collector finds when a backend starts these processes."""
    scratch.mkdir(exist_ok=True)
    collector.start(RunContext("run-1", {}, 0, scratch))
    for process in processes:
        command = [*collector.command_prefix(process), sys.executable, "-c", f"print('{process}')"]
        subprocess.run(command, check=True, capture_output=True)
    return collector.stop()


def reasons(result: Result) -> set[str | None]:
    return {metric.reason for metric in result.metrics if metric.value is None}


def test_a_timeline_of_the_first_process_becomes_metrics(
    fake_tools: Callable[[Path], None], tmp_path: Path
) -> None:
    fake_tools(write_sqlite(decode_trace(), tmp_path / "trace.sqlite"))
    collector = NsightCollector()
    assert isinstance(collector, ProcessWrapper)
    result = profiled(collector, tmp_path / "scratch", "engine-0", "engine-1")
    found = {metric.name: metric.value for metric in result.metrics}
    assert found["nsight_attention_share"] == pytest.approx(0.3)
    assert set(found) == set(collector.metric_names)
    assert result.facts["recipe"] == "timeline"
    assert [file.name for file in (tmp_path / "scratch").glob("*.nsys-rep")] == [
        "run-1-engine-0-timeline.nsys-rep"
    ]


def test_counters_of_a_named_process_become_metrics(
    fake_tools: Callable[[Path], None], tmp_path: Path
) -> None:
    page = tmp_path / "page.csv"
    page.write_text(ncu_raw(decode_kernels()))
    fake_tools(page)
    collector = NsightCollector(recipe="roofline", process="engine-1", keep=True)
    result = profiled(collector, tmp_path / "scratch", "engine-0", "engine-1")
    found = {metric.name: metric.value for metric in result.metrics}
    assert found["nsight_attention_flop_per_byte"] == pytest.approx(2.0)
    assert result.artifacts["nsight_report"].is_file()
    assert result.artifacts["nsight_report"].name == "run-1-engine-1-roofline.ncu-rep"


def test_a_report_is_deleted_when_it_is_not_to_be_kept(
    fake_tools: Callable[[Path], None], tmp_path: Path
) -> None:
    fake_tools(write_sqlite(decode_trace(), tmp_path / "trace.sqlite"))
    assert profiled(NsightCollector(), tmp_path / "scratch", "engine-0").artifacts == {}


@pytest.mark.parametrize(
    ("processes", "settings", "fails", "reason"),
    [
        ((), {}, "", "the backend started no process with a process that a profiler can start"),
        (("engine-0",), {"process": "engine-7"}, "", "the backend started no process named 'engine-7'"),
        (("engine-0",), {}, "report", "nsys left no report run-1-engine-0-timeline.nsys-rep"),
        (("engine-0",), {}, "export", "could not export it: Importer error: the report is truncated"),
    ],
)
def test_what_goes_wrong_makes_the_metrics_absent_with_the_reason(
    fake_tools: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    processes: tuple[str, ...],
    settings: dict[str, Any],
    fails: str,
    reason: str,
) -> None:
    fake_tools(write_sqlite(decode_trace(), tmp_path / "trace.sqlite"))
    monkeypatch.setenv("FAKE_FAILS", fails)
    result = profiled(NsightCollector(**settings), tmp_path / "scratch", *processes)
    (said,) = reasons(result)
    assert reason in (said or "")
    assert "\n" not in (said or "")
    assert {metric.name for metric in result.metrics} == {item.name for item in TIMELINE_METRICS}
    assert [check.verdict for check in result.checks] == ["warn"]


def test_a_machine_without_the_tool_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="no 'ncu' on this machine; install Nsight Compute"):
        NsightCollector(recipe="memory").start(RunContext("run", {}, 0, tmp_path))


def test_unknown_recipe_and_bad_times_are_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown recipe 'rooflin' \(did you mean 'roofline'\?\)"):
        NsightCollector(recipe="rooflin")
    with pytest.raises(ConfigError, match=r"metrics\.nsight\.delay_s: -1"):
        NsightCollector(delay_s=-1)


def test_command_lines_leave_clocks_alone_and_bound_the_collection(tmp_path: Path) -> None:
    for name, chosen in tools.recipes().items():
        words = tools.command_prefix("tool", chosen, tmp_path / "report", ["--extra"], 30, 20)
        assert "--extra" in words, name
        if chosen.tool == "ncu":
            assert "--clock-control=none" in words
            assert words[-1] == f"--export={tmp_path / 'report'}"
        else:
            assert words[1] == "profile"
            assert {"--delay=30", "--duration=20", "--kill=none", f"--output={tmp_path / 'report'}"} <= set(
                words
            )


@pytest.mark.slow
def test_run_on_the_twin_finishes_and_says_that_nothing_could_be_profiled(
    fake_tools: Callable[[Path], None], tmp_path: Path
) -> None:
    fake_tools(tmp_path / "unused.sqlite")
    command = [
        sys.executable,
        "-m",
        "framework",
        "metrics=nsight",
        "model=opt-125m",
        "gpu=h100-64gb",
        "scale=toy",
        "progress=false",
    ]
    command += [f"outputs_dir={tmp_path / 'outputs'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    from framework.store.database.reader import Store

    rows = Store(tmp_path / "outputs").query(
        "SELECT value, reason FROM metrics WHERE name = 'nsight_attention_share'"
    )
    assert rows.to_pylist() == [
        {"value": None, "reason": "the backend started no process with a process that a profiler can start"}
    ]


def test_every_metric_recipe_and_setting_is_documented() -> None:
    for item in NSIGHT_METRICS:
        if item not in COUNTER_METRICS:
            assert f"`{item.name}`" in PAGE, item.name
    for item in COUNTER_METRICS:
        name = item.name.replace("attention", "{attention,matmul}").replace(
            "nsight_matmul", "nsight_{attention,matmul}"
        )
        assert f"`{name}`" in PAGE, name
    for name in (*tools.recipes(), *(set(NsightSettings.__dataclass_fields__) - {"_target_"})):
        assert f"`{name}`" in PAGE, name
