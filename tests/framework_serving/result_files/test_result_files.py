"""What other tools wrote, in our names: each figure with the value that its file says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.contracts import ImportedRun
from framework.errors import InputError
from framework.run.importing import import_files
from framework.run.recognition import recognised
from framework.store.database.reader import Store

FILES = Path(__file__).parent / "files"


def imported(file: Path) -> list[ImportedRun]:
    importer, _ = recognised(file)
    runs = list(importer.read(file))
    assert all(isinstance(run, ImportedRun) for run in runs)
    return [run for run in runs if isinstance(run, ImportedRun)]


def values(run: ImportedRun) -> dict[str, float]:
    return {metric.name: metric.value for metric in run.result.metrics if metric.value is not None}


def verdicts(run: ImportedRun) -> dict[str, str]:
    return {check.name: check.verdict for check in run.result.checks}


EXPECTED: list[tuple[str, str, dict[str, float]]] = [
    (
        "vllm_0.32_detailed.json",
        "vllm-bench",
        {
            "requests_s": 16.646005736823895,
            "output_tok_s": 99.87603442094337,
            "total_tok_s": 144.26538305247377,
            "ttft_p95_ms": 26.21734774857032,
            "tpot_mean_ms": 5.4136098666883,
            "itl_p99_ms": 9.261917361400268,
            "e2e_p50_ms": 50.009257001875085,
            "completed": 6,
        },
    ),
    (
        "vllm_0.32_append.jsonl",
        "vllm-bench",
        {"requests_s": 17.680809408556378, "goodput_requests_s": 17.680809408556378},
    ),
    ("vllm_0.6.3.json", "vllm-bench", {"ttft_mean_ms": 50.0, "itl_p50_ms": 9.6, "total_tok_s": 220.0}),
    (
        "sglang_0.5.23.jsonl",
        "sglang-bench",
        {"total_tok_s": 112.64723052040874, "e2e_p90_ms": 48.6818105000566, "itl_mean_ms": 4.971182713883796},
    ),
    (
        "guidellm_0.8.1.json",
        "guidellm",
        # latency in the file: 0.0546… s; its ITL is weighed by gaps, so the mean is that of all gaps
        {
            "e2e_mean_ms": 54.691871007283524,
            "itl_mean_ms": 5.267119407653808,
            "ttft_p50_ms": 22.148609161376953,
        },
    ),
    (
        "guidellm_0.8.1.csv",
        "guidellm",
        {
            "e2e_mean_ms": 54.691871007283524,
            "itl_mean_ms": 5.267119407653808,
            "ttft_p50_ms": 22.148609161376953,
            "completed": 6,
        },
    ),
    ("guidellm_0.8.1.html", "guidellm", {"completed": 6, "output_tok_s": 118.00425767365962}),
    (
        "aiperf_0.13.json",
        "aiperf",
        # what AIPerf calls inter-token latency is the time per output token of each request
        {
            "tpot_mean_ms": 2.490278712121212,
            "e2e_mean_ms": 50.86433116666666,
            "duration_s": 0.17881190400000002,
        },
    ),
    ("aiperf_0.13.csv", "aiperf", {"ttft_p99_ms": 30.47, "tpot_mean_ms": 2.49, "total_tok_s": 759.52}),
    ("aiperf_0.13_requests.jsonl", "aiperf", {"completed": 4}),
    (
        "genai_perf_0.0.16.json",
        "genai-perf",
        {"tpot_mean_ms": 10.0, "e2e_p90_ms": 157.5, "output_tok_s": 22.0},
    ),
    (
        "inference_perf_0.7_stage.json",
        "inference-perf",
        {"ttft_mean_ms": 20.0, "itl_mean_ms": 5.0, "tpot_p99_ms": 5.0, "e2e_p95_ms": 46.0, "completed": 5},
    ),
    (
        "inference_perf_0.7_requests.json",
        "inference-perf",
        {"completed": 5, "ttft_mean_ms": 20.0, "itl_mean_ms": 5.0},
    ),
    (
        "llmd_0.2.yaml",
        "llm-d",
        {"e2e_mean_ms": 46.0, "requests_s": 16.892, "tpot_mean_ms": 5.0, "completed": 5},
    ),
]


@pytest.mark.parametrize(("name", "kind", "expected"), EXPECTED, ids=[name for name, _, _ in EXPECTED])
def test_a_result_is_recognised_and_read_in_our_names(
    name: str, kind: str, expected: dict[str, float]
) -> None:
    assert recognised(FILES / name)[0].kind == kind
    found = values(imported(FILES / name)[0])
    assert {key: found.get(key) for key in expected} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("name", "kind", "expected"), EXPECTED, ids=[name for name, _, _ in EXPECTED])
def test_a_file_is_found_out_by_content_whatever_its_name_compression_or_encoding(
    tmp_path: Path, name: str, kind: str, expected: dict[str, float]
) -> None:
    text = (FILES / name).read_text()
    ways: dict[str, Callable[[str], bytes]] = {
        "packed": lambda text: gzip.compress(text.encode()),
        "sixteen": lambda text: text.encode("utf-16"),
        "marked": lambda text: text.encode("utf-8-sig"),
    }
    plain = [run.content for run in imported(FILES / name)]
    for way, write in ways.items():
        file = tmp_path / f"{way}.txt"
        file.write_bytes(write(text))
        assert recognised(file)[0].kind == kind
        assert [run.content for run in imported(file)] == plain, way


def test_the_configuration_is_that_of_the_file_in_our_words() -> None:
    (run,) = imported(FILES / "vllm_0.6.3.json")
    assert run.config["model"]["name"] == "llama-3.1-8b-instruct"  # by its name on the hub
    assert run.config["workload"]["arrivals"] == {"kind": "burst", "rate_rps": None}
    one, two = imported(FILES / "vllm_0.32_append.jsonl")
    assert [item.config["workload"]["arrivals"]["concurrency"] for item in (one, two)] == [1, 2]
    (poisson,) = imported(FILES / "vllm_0.32_detailed.json")
    assert poisson.config["workload"]["arrivals"] == {"kind": "poisson", "rate_rps": 20.0}
    assert poisson.config["gpu"]["name"] == "h100"  # --metadata gpu=h100: which H100, the file does not say


def test_requests_of_a_detailed_result_are_kept_and_its_figures_follow_from_them() -> None:
    (run,) = imported(FILES / "vllm_0.32_detailed.json")
    requests = run.result.tables["requests"]
    assert requests.num_rows == 6
    assert requests["arrival_s"].to_pylist()[0] == 0.0
    assert requests["arrival_s"].to_pylist()[1] == pytest.approx(0.067281242)
    assert requests["output_tokens"].to_pylist() == [6] * 6
    assert verdicts(run)["requests_agree"] == "pass"


def test_a_failed_request_is_counted_and_told() -> None:
    (run,) = imported(FILES / "inference_perf_0.7_requests.json")
    assert run.result.tables["requests"]["status"].to_pylist().count("failed") == 1
    assert verdicts(run)["requests_served"] == "fail"


def test_token_counts_that_the_server_contradicts_make_the_figures_doubtful() -> None:
    for name in ("aiperf_0.13.json", "aiperf_0.13_requests.jsonl"):
        (run,) = imported(FILES / name)
        assert verdicts(run)["token_counts"] == "warn"


def test_what_has_no_name_of_ours_is_kept_under_its_own_and_counted() -> None:
    (run,) = imported(FILES / "aiperf_0.13.json")
    assert run.result.facts["aiperf.http_req_waiting"] == pytest.approx(21.447373666666667)
    assert any("entries have no name of ours" in note for note in run.notes)
    assert "http_req_waiting" not in values(run)


def changed(name: str, tmp_path: Path, change: Callable[[Any], None]) -> ImportedRun:
    document = json.loads((FILES / name).read_text())
    change(document)
    file = tmp_path / name
    file.write_text(json.dumps(document))
    (run,) = imported(file)
    return run


def test_a_throughput_that_contradicts_tokens_over_duration_fails(tmp_path: Path) -> None:
    run = changed("vllm_0.6.3.json", tmp_path, lambda found: found.update(output_throughput=99.0))
    assert verdicts(run)["figures_agree"] == "fail"
    (detail,) = [check.detail for check in run.result.checks if check.verdict == "fail"]
    assert "output_tok_s 99 × duration_s 2 is 198, but output_tokens_total is 40" in detail


@pytest.mark.parametrize(
    ("figure", "value", "message"),
    [
        ("p99_ttft_ms", 1.0, "ttft_p50_ms is 45, above ttft_p99_ms 1"),
        ("mean_tpot_ms", -1.0, "tpot_mean_ms is -1, below 0"),
        ("completed", 9, "completed is 9, above prompts_sent 4"),
    ],
)
def test_an_impossible_figure_fails(tmp_path: Path, figure: str, value: float, message: str) -> None:
    run = changed("vllm_0.6.3.json", tmp_path, lambda found: found.update({figure: value}))
    details = " ".join(check.detail for check in run.result.checks if check.verdict == "fail")
    assert message in details


def test_a_figure_that_is_no_number_is_absent_and_told(tmp_path: Path) -> None:
    run = changed("vllm_0.6.3.json", tmp_path, lambda found: found.update(mean_ttft_ms=float("nan")))
    assert "ttft_mean_ms" not in values(run)
    assert verdicts(run)["figures_readable"] == "warn"


def test_times_are_converted_by_the_unit_that_the_file_states(tmp_path: Path) -> None:
    def to_seconds(found: dict[str, Any]) -> None:
        entry = found["time_to_first_token"]
        found["time_to_first_token"] = {
            key: value / 1e3 if key.startswith(("avg", "p")) else value for key, value in entry.items()
        } | {"unit": "sec"}

    run = changed("aiperf_0.13.json", tmp_path, to_seconds)
    assert values(run)["ttft_mean_ms"] == pytest.approx(23.47126533333333)
    unknown = changed(
        "aiperf_0.13.json", tmp_path, lambda found: found["time_to_first_token"].update(unit="furlong")
    )
    assert "ttft_mean_ms" not in values(unknown)
    assert verdicts(unknown)["units_known"] == "warn"


def test_a_cancelled_run_is_not_a_complete_one(tmp_path: Path) -> None:
    run = changed("aiperf_0.13.json", tmp_path, lambda found: found.update(was_cancelled=True))
    assert verdicts(run)["run_complete"] == "fail"


def test_lists_of_requests_of_unequal_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lists of requests differ in length: .*ttfts 5"):
        changed("vllm_0.32_detailed.json", tmp_path, lambda found: found["ttfts"].pop())


def test_a_list_that_lacks_requests_fails(tmp_path: Path) -> None:
    def shorten(found: dict[str, Any]) -> None:
        for name, value in found.items():
            if isinstance(value, list):
                found[name] = value[:5]

    run = changed("vllm_0.32_detailed.json", tmp_path, shorten)
    assert verdicts(run)["requests_accounted"] == "fail"


@pytest.mark.parametrize("name", [name for name, _, _ in EXPECTED if name.endswith(("json", "jsonl"))])
def test_a_file_that_breaks_off_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    data = (FILES / name).read_bytes().rstrip()
    torn = tmp_path / name
    torn.write_bytes(data[: len(data) * 2 // 3])
    importer, _ = recognised(FILES / name)
    with pytest.raises(InputError, match=r"line \d+.*(breaks off|not JSON)"):
        list(importer.read(torn))
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(data)[:-20])
    with pytest.raises(InputError, match="can't be read to its end"):
        list(importer.read(packed))


def test_a_key_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "twice.json"
    file.write_text((FILES / "vllm_0.6.3.json").read_text().replace('{"date"', '{"duration": 9.0, "date"'))
    importer, _ = recognised(FILES / "vllm_0.6.3.json")
    with pytest.raises(InputError, match="key 'duration' occurs twice"):
        list(importer.read(file))


def test_a_file_of_two_tools_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mixed.jsonl"
    parts = [(FILES / name).read_text().strip() for name in ("vllm_0.6.3.json", "sglang_0.5.23.jsonl")]
    file.write_text("\n".join(parts))
    importer, _ = recognised(file)
    with pytest.raises(InputError, match="is not a result of"):
        list(importer.read(file))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is an empty file"),
        ('{"hidden_size": 4096, "model_type": "x"}', "JSON with the keys hidden_size, model_type"),
        ("a;b;c\n1;2;3\n", "first line has the cells a, b, c"),
        ('{"duration": 1, ', "not complete or valid JSON"),
    ],
)
def test_a_file_of_no_known_format_is_described(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "unknown"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        recognised(file)


@pytest.mark.slow
def test_results_are_imported_through_the_command_line_in_any_order_and_once(tmp_path: Path) -> None:
    from framework.cli.verbs import run_verb
    from framework.store.database.reader import Store

    files = [str(FILES / name) for name, _, _ in EXPECTED]
    stores = []
    for place, ordered in enumerate((files, files[::-1], files + files)):
        outputs = tmp_path / f"outputs{place}"
        assert run_verb(["import", *ordered, "gpu=h100-80gb", "--outputs", str(outputs)]) == 0
        rows = Store(str(outputs)).query(
            "SELECT job_key, experiment, gpu, sanity FROM runs ORDER BY job_key, experiment"
        )
        stores.append(rows.to_pylist())
    assert stores[0] == stores[1] == stores[2]
    assert len(stores[0]) == 12  # AIPerf writes one run as JSON and as CSV
    assert {row["gpu"] for row in stores[0]} == {"H100-80GB"}


def test_requests_whose_times_cannot_be_of_one_run_are_refused(tmp_path: Path) -> None:
    def in_other_unit(found: dict[str, Any]) -> None:
        found["start_times"][-1] = 1.8e18

    with pytest.raises(InputError, match=r"times of requests are 1\.8e\+18 s apart"):
        changed("vllm_0.32_detailed.json", tmp_path, in_other_unit)


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [False, True])
def test_requests_of_aiperf_have_the_settings_of_the_export_next_to_them(
    damaged: bool, tmp_path: Path
) -> None:
    """Whatever is imported first: one run, with the summary's load and the requests' times."""
    requests, summary = tmp_path / "profile_export.jsonl", tmp_path / "profile_export_aiperf.json"
    requests.write_bytes((FILES / "aiperf_0.13_requests.jsonl").read_bytes())
    record = json.loads((FILES / "aiperf_0.13.json").read_text())
    for name in ("time_to_first_token", "request_latency"):
        lines = [json.loads(line)["metrics"][name]["value"] for line in requests.read_text().splitlines()]
        record[name] |= {"avg": sum(lines) / len(lines), "min": min(lines), "max": max(lines)}
    record["request_count"]["avg"] = len(lines)
    summary.write_text(json.dumps(record)[: 500 if damaged else None])
    orders = [[requests]] if damaged else [[requests, summary], [summary, requests]]
    for order in orders:
        outputs = tmp_path / order[0].suffix[1:]
        import_files([str(file) for file in order], str(outputs))
        (row,) = Store(outputs).query("SELECT run_id, model FROM runs WHERE status = 'done'").to_pylist()
        assert (row["model"] is not None) is not damaged
        concurrency = "SELECT value FROM facts WHERE name = 'workload.concurrency'"
        assert Store(outputs).rows(concurrency)[1] == ([] if damaged else [("2",)])
        assert Store(outputs).rows("SELECT count(*) FROM requests")[1] == [(len(lines),)]
