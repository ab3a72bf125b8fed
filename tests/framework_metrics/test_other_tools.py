"""Files of DCGM, Zeus, CodeCarbon and PyTorch's profiler, found out by content; figures that can't be are refused."""

from __future__ import annotations

import gzip
import json
import random
from contextlib import suppress
from pathlib import Path

import pytest

from framework.contracts import ImportedRun
from framework.errors import InputError
from framework.run.recognition import recognised
from tests.support.damaged_files import damaged

DCGMI = (
    "#Entity   GPUTL   POWER    TOTEC     SMACT\nID                W        mJ\n"
    "GPU 0     0       100.0    1000000   0.000\nGPU 1     99      300.0    5000000   0.910\n"
    "GPU 0     0       100.0    1100000   0.000\nGPU 1     99      300.0    5300000   0.910\n"
    "GPU 0     0       100.0    1200000   0.000\nGPU 1     99      300.0    5600000   0.910\n"
)


def scrape(at: int) -> str:
    return "".join(
        f'DCGM_FI_DEV_POWER_USAGE{{gpu="0",UUID="GPU-{host}",Hostname="{host}"}} {watts} {1_700_000_000_000 + 1000 * at}\n'  # noqa: E501
        for host, watts in (("a", 100), ("b", 300))
    )


EXPORTER = "# HELP DCGM_FI_DEV_POWER_USAGE Power draw (in W).\n" + "".join(scrape(at) for at in range(6))
UNTIMED = "".join(f'DCGM_FI_DEV_POWER_USAGE{{gpu="0",UUID="GPU-1"}} {watts}\n' for watts in (100, 100, 100))
ZEUS = "start_time,window_name,elapsed_time,gpu0_energy\n1709280000.5,step_0,1.25,310.5\n1709280001.8,step_1,1.25,309.0\n"  # noqa: E501
POWER = "time,gpu_id,power_draw\n1709280000,0,100\n1709280001,0,100\n1709280002,0,100\n"
CARBON = (
    "timestamp,project_name,run_id,duration,emissions,gpu_power,cpu_energy,gpu_energy,ram_energy,energy_consumed\n"
    "2025-03-01T10:00:00,p,6b,120.0,0.0021,300.0,0.0014,0.0100,0.0003,0.0117\n"
)
EVENTS = [
    {"ph": "X", "cat": "kernel", "name": "ampere_sgemm", "ts": 0.0, "dur": 600.0, "args": {"device": 0}},
    {
        "ph": "X",
        "cat": "kernel",
        "name": "flash_fwd_kernel",
        "ts": 700.0,
        "dur": 300.0,
        "args": {"device": 0},
    },
    {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "ts": 0.0, "dur": 10.0},
]
KINETO = json.dumps(
    {"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "H100"}], "traceEvents": EVENTS}
)
FILES = {
    "dcgmi": DCGMI,
    "dcgm": EXPORTER,
    "zeus": ZEUS,
    "zeus power": POWER,
    "codecarbon": CARBON,
    "kineto": KINETO,
}


def runs(text: str, folder: Path, kind: str | None = None) -> list[ImportedRun]:
    file = folder / "file"
    file.write_text(text)
    importer, _ = recognised(file)
    assert kind is None or importer.kind == kind
    return list(importer.read(file))  # type: ignore[arg-type]


def value(run: ImportedRun, name: str) -> float | None:
    return next(metric.value for metric in run.result.metrics if metric.name == name)


@pytest.mark.parametrize(
    ("kind", "text", "joules"),
    [
        ("dcgmi", DCGMI, [200 + 600]),
        ("dcgm", EXPORTER, [5 * 400]),
        ("dcgm", UNTIMED, [200]),
        ("zeus", ZEUS, [310.5, 309.0]),
        ("zeus", POWER, [200]),
        ("codecarbon", CARBON, [36000]),
    ],
)
def test_the_energy_of_each_tools_file_is_what_it_says(
    kind: str, text: str, joules: list[float], tmp_path: Path
) -> None:
    found = [value(run, "energy_j") for run in runs(text, tmp_path, kind)]
    assert found == pytest.approx(joules)


def test_gpus_of_two_hosts_in_an_exporters_text_are_two(tmp_path: Path) -> None:
    (run,) = runs(EXPORTER, tmp_path)
    assert len(run.result.facts["gpus"]) == 2  # type: ignore[arg-type]


def test_codecarbons_carbon_is_kept_and_its_parts_must_add_up(tmp_path: Path) -> None:
    (run,) = runs(CARBON, tmp_path)
    assert (value(run, "carbon_g"), value(run, "energy_total_j")) == (
        pytest.approx(2.1),
        pytest.approx(42120),
    )
    (wrong,) = runs(CARBON.replace("0.0117", "0.1170"), tmp_path)
    assert [check.verdict for check in wrong.result.checks if check.name == "figures_agree"] == ["fail"]


def test_a_trace_of_pytorch_has_shares_by_class_and_gaps(tmp_path: Path) -> None:
    (run,) = runs(KINETO, tmp_path, "kineto")
    assert value(run, "nsight_window_s") == pytest.approx(0.001)
    assert value(run, "nsight_host_gap_share") == pytest.approx(0.1)
    assert value(run, "nsight_attention_share") == pytest.approx(0.3)
    packed = tmp_path / "trace.json.gz"
    packed.write_bytes(gzip.compress(KINETO.encode()))
    importer, _ = recognised(packed)
    (again,) = importer.read(packed)
    assert value(again, "nsight_window_s") == pytest.approx(0.001)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ZEUS.replace("310.5", "31050000"), "row 1: gpu0_energy means .* which no GPU draws"),
        (ZEUS.replace("309.0", ""), "row 2: gpu0_energy is ''"),
        (ZEUS + "1709280003.1,step_2", "row 3: 2 values under 4 columns"),
        (POWER.replace("1709280001", "1709270001"), "row 2: time decreases"),
        (CARBON.replace("0.0021", "-1"), "row 1: emissions is '-1'"),
        (KINETO[:-40], "known format|breaks off"),
        (KINETO.replace('"dur": 600.0', '"dur": -600.0'), "event 0 .*lasts"),
        (
            DCGMI.replace("GPU 1     99      300.0", "GPU 1     99      30000.0"),
            "line 4: power_w: .* outside",
        ),
        (DCGMI.replace("0.910", "9.10"), "line 4: sm_active_pct"),
        (DCGMI.replace("GPU 1     99  ", "GPU 1     ", 1), "line 4: 3 values under 4 columns"),
    ],
)
def test_what_can_not_be_is_refused_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        runs(text, tmp_path)


def mutations_end_well(kind: str, folder: Path, count: int) -> None:
    draw = random.Random(kind)
    data = FILES[kind].encode()
    file = folder / "mutated"
    file.write_bytes(data)
    importer, _ = recognised(file)
    for _ in range(count):
        changed = damaged(data, draw, 60)
        file.write_bytes(changed)
        with suppress(InputError):
            list(importer.read(file))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_ends_in_numbers_or_in_one_line(kind: str, tmp_path: Path) -> None:
    mutations_end_well(kind, tmp_path, 25)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_many_damaged_files_end_in_numbers_or_in_one_line(kind: str, tmp_path: Path) -> None:
    mutations_end_well(kind, tmp_path, 2000)
