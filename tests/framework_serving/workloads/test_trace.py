"""Rows of a trace become requests: columns, units, windows, limits; what is wrong is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from framework.errors import ConfigError, InputError, UserError
from framework_serving.workloads.prefix_blocks import kv_block_hashes
from framework_serving.workloads.trace import TraceWorkload
from tests.framework_serving.workloads.trace_files import HEADER, arrivals, build, csv_file


def test_rows_become_requests_with_times_from_the_first(tmp_path: Path) -> None:
    built = build(csv_file(tmp_path, "10,5,6\n12.5,7,8\n"))
    assert arrivals(built) == [0, 2.5]
    assert built.tables["requests"]["input_tokens"].to_pylist() == [5, 7]


def test_gzip_named_columns_and_time_unit(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl.gz"
    rows = [{"ts": 1000, "in": 3, "out": 4, "lora": "x"}, {"ts": 1500, "in": 3, "out": 4, "lora": None}]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    columns = {"arrival": "ts", "input": "in", "output": "out", "adapter": "lora"}
    built = build(path, columns=columns, time_unit="ms", ranks=[16])
    assert arrivals(built) == [0, 0.5]
    assert built.tables["requests"]["adapter_id"].to_pylist() == [0, None]
    assert built.tables["adapters"].to_pylist() == [{"adapter_id": 0, "rank": 16, "rate_rps": None}]
    assert built.facts["adapter_names"] == ["x"]


def test_window_limit_and_rate_scale(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "".join(f"{second},5,6\n" for second in range(10)))
    built = build(path, window_start_s=2, window_end_s=8, limit=3, rate_scale=2)
    assert arrivals(built) == [0, 0.5, 1.0]


def test_trace_without_arrivals_takes_those_configured(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "5,6\n7,8\n", "input_tokens,output_tokens\n")
    built = build(path, columns={"arrival": None}, arrivals={"kind": "constant", "rate_rps": 2})
    assert arrivals(built) == [0, 0.5]


def test_unsorted_rows_are_refused_unless_sorting_is_asked_for(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "3,5,6\n1,7,8\n")
    with pytest.raises(InputError, match=r"trace\.csv, line 3: arrival 1 is earlier .* workload\.sort=true"):
        build(path)
    assert build(path, sort=True).tables["requests"]["input_tokens"].to_pylist() == [7, 5]


def test_bad_rows_can_be_left_out_and_are_counted(tmp_path: Path) -> None:
    built = build(csv_file(tmp_path, "0,5,6\n1,x,6\n2,5,0\n3,1,1\n"), skip_bad_rows=True)
    assert built.facts["rows_left_out"] == 2
    assert built.tables["requests"].num_rows == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,x,6", "line 3: column 'input_tokens' is not a number: 'x'"),
        ("1,,6", "line 3: column 'input_tokens' is not a number: ''"),
        ("1,nan,6", "line 3: column 'input_tokens' is not a number"),
        ("1,5,inf", "line 3: column 'output_tokens' is not a number"),
        ("1,5,-6", "line 3: column 'output_tokens' must be a whole number of tokens from 1, got -6"),
        ("1,5.5,6", "line 3: column 'input_tokens' must be a whole number of tokens"),
        ("1,0,6", "line 3: column 'input_tokens' must be a whole number of tokens from 1, got 0"),
        ("1,5", "line 3: 3 columns expected, 2 found"),
        ("1,1,234,50", "line 3: 3 columns expected, 4 found"),
        ("1,1_0,6", "line 3: column 'input_tokens' is not a number"),
        ("-1,5,6", "line 3: column 'arrival_s' is negative: -1"),
        ("1700000000000000000,5,6", "line 3: column 'arrival_s' is not a time in s: '1700000000000000000'"),
        ("noon,5,6", "line 3: column 'arrival_s' is not a number: 'noon'"),
    ],
)
def test_bad_row_is_named_by_file_line_and_column(tmp_path: Path, row: str, message: str) -> None:
    path = csv_file(tmp_path, f"0,5,6\n{row}\n")
    with pytest.raises(InputError) as caught:
        build(path)
    assert str(caught.value).startswith(f"{path}, {message}")


def test_missing_column_is_named_with_its_setting(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "0,5,6\n", "arrival_s,input_token,output_tokens\n")
    with pytest.raises(
        InputError, match=r"no column 'input_tokens' \(workload\.columns\.input\).*'input_token'"
    ):
        build(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "empty file"),
        ("header.csv", HEADER.encode(), "no request in it"),
        ("cut.csv.gz", gzip.compress(HEADER.encode() + b"1,2,3\n" * 9000)[:-20], "can't be read"),
        ("text.csv.gz", b"no gzip", "no column 'arrival_s'"),
        ("latin.csv", HEADER.encode() + b"0,5,\xff", "is not a text in UTF-8"),
        ("table.csv", b"PAR1\0\x15\x02\x19", "is not a text file but Parquet"),
        ("twice.csv", b"arrival_s,input_tokens,input_tokens,output_tokens\n0,1,2,3\n", "occurs twice"),
        ("bad.jsonl", b'{"arrival_s": 0', "line 1: not JSON"),
        ("list.jsonl", b"[1, 2]", "line 1: not a JSON object"),
        ("keys.jsonl", b'{"arrival_s": 0, "input": 5}', "line 1: no 'input_tokens' in it"),
        (
            "bool.jsonl",
            b'{"arrival_s": 0, "input_tokens": true, "output_tokens": 3}',
            "is not a number: True",
        ),
    ],
)
def test_unreadable_trace_is_one_line_that_names_the_file(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        build(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"time_unit": "h"}, "workload.time_unit: unknown value 'h'"),
        ({"format": "xml"}, "workload.format: unknown value"),
        ({"rate_scale": 0}, "workload.rate_scale: must be greater than 0"),
        ({"limit": 0}, "workload.limit: must be at least 1"),
        ({"window_start_s": 5, "window_end_s": 5}, "workload.window_end_s: must be greater than 5"),
        ({"window_start_s": 50}, "no request within the configured window"),
        ({"columns": {"inputs": "x"}}, "workload.columns.inputs: unknown key"),
    ],
)
def test_bad_setting_is_named(tmp_path: Path, keys: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        build(csv_file(tmp_path, "0,5,6\n"), **keys)
    assert message in str(caught.value)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"workload\.file: no such file"):
        build(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="is a folder"):
        build(tmp_path)


def test_prefix_blocks_are_named_at_the_engine_block_size(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    rows = [
        {"t": 0, "i": 70, "o": 1, "h": [7, 8]},
        {"t": 0, "i": 64, "o": 1, "h": [7, 9]},
        {"t": 1, "i": 10, "o": 1, "h": []},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    columns = {"arrival": "t", "input": "i", "output": "o", "hash_ids": "h"}
    built = build(path, columns=columns, hash_block_tokens=32)
    assert built.facts["prefix_block_tokens"] == 32
    offsets, hashes = kv_block_hashes(built.tables["requests"], 32, 16)
    assert offsets.tolist() == [0, 4, 8, 8]
    assert hashes.tolist() == [14, 15, 16, 17, 14, 15, 18, 19]
    with pytest.raises(ValueError, match="don't divide"):
        kv_block_hashes(built.tables["requests"], 32, 24)


def test_equal_file_gives_equal_hash_and_a_cap_of_tokens_another(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "0,5,6\n")
    assert build(path).content_hash == build(path).content_hash
    assert build(path).content_hash != build(path, max_tokens=4).content_hash


def test_a_trace_setting_of_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"workload\.columns: expected a mapping"):
        TraceWorkload(file=str(tmp_path), columns=["a"])


def test_trace_that_is_not_drained_is_cut_at_its_window_or_last_arrival(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "0,5,6\n4,5,6\n")
    assert build(path, drain=False).facts["horizon_s"] == 4
    assert build(path, drain=False, window_end_s=10, rate_scale=2).facts["horizon_s"] == 5
    with pytest.raises(ConfigError, match=r"workload\.drain: false cuts the run at its last arrival"):
        build(path, drain=False, limit=1)


@pytest.mark.parametrize(("tokens", "ids"), [(10_000, [1]), (100, [1, 2, 3, 4, 5, 6]), (600, [])])
def test_prefix_blocks_that_do_not_fit_the_prompt_are_refused(
    tokens: int, ids: list[int], tmp_path: Path
) -> None:
    file = tmp_path / "m.jsonl"
    row = {"timestamp": 0, "input_length": tokens, "output_length": 5, "hash_ids": ids}
    file.write_text(json.dumps(row))
    with pytest.raises(
        InputError, match=rf"line 1: column 'hash_ids' has {len(ids)} blocks, but {tokens} input"
    ):
        build(file)


def test_separators_decimal_commas_and_spaces_are_found_out(tmp_path: Path) -> None:
    texts = {
        "semicolon": "arrival_s;input_tokens;output_tokens\n0;100;10\n0,5;200;20\n",
        "tab": "arrival_s\tinput_tokens\toutput_tokens\n0\t100\t10\n0.5\t200\t20\n",
        "spaces": "arrival_s, input_tokens, output_tokens\n0, 100, 10\n0.5, 200, 20\n",
    }
    for name, text in texts.items():
        file = tmp_path / name
        file.write_bytes(text.encode("utf-16") if name == "tab" else gzip.compress(text.encode()))
        built = build(file)
        assert arrivals(built) == [0, 0.5], name
        assert built.tables["requests"]["output_tokens"].to_pylist() == [10, 20]
    thousands = tmp_path / "thousands.csv"
    thousands.write_text("arrival_s;input_tokens;output_tokens\n0;1,234;10\n")
    with pytest.raises(InputError, match="column 'input_tokens' is not a number: '1,234'"):
        build(thousands)


def test_dates_of_two_sorts_in_one_trace_are_refused(tmp_path: Path) -> None:
    text = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:00.017335+00:00,2399,6\n"
        "2024-05-10 00:00:01,10,10\n"
    )
    with pytest.raises(InputError, match=r"line 4: .*some dates have a time zone and some have none"):
        build(csv_file(tmp_path, "", text))


def test_reading_stops_at_the_limit_and_at_the_end_of_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framework_serving.workloads.recorded.trace_file.CHUNK_ROWS", 256)
    rows = "".join(f"{second},5,6\n" for second in range(5000)) + "damaged\n"
    path = csv_file(tmp_path, rows)
    assert build(path, limit=10).facts["num_requests"] == 10
    assert build(path, window_start_s=100, window_end_s=110).facts["num_requests"] == 10
    with pytest.raises(InputError, match="line 5002"):
        build(path)


def test_a_bad_row_is_found_in_whichever_chunk_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework_serving.workloads.recorded.trace_file.CHUNK_ROWS", 4)
    rows = [f"{second},5,6\n" for second in range(30)]
    rows[17] = "17,x,6\n"
    path = csv_file(tmp_path, "".join(rows))
    with pytest.raises(InputError, match="line 19: column 'input_tokens' is not a number: 'x'"):
        build(path)
    built = build(path, skip_bad_rows=True)
    assert built.facts["rows_left_out"] == 1
    assert "line 19" in str(built.facts["first_row_left_out"])
    assert arrivals(built) == [float(second) for second in range(30) if second != 17]
    late = csv_file(tmp_path, "".join(rows[:17]) + "3,5,6\n")
    with pytest.raises(InputError, match=r"line 19: arrival 3 is earlier than the arrival before it \(16\)"):
        build(late)


def test_texts_are_counted_with_the_models_tokenizer(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    turns = [{"from": "human", "value": "what is a cache"}, {"from": "gpt", "value": "it keeps results"}]
    share = tmp_path / "share.json"
    share.write_text(
        json.dumps([{"id": "a", "conversations": turns}, {"id": "b", "conversations": turns[:1]}])
    )
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "say hi now", "output_tokens": 7}\n')
    keys: dict[str, object] = {"tokenizer": str(tmp_path), "arrivals": {"kind": "constant", "rate_rps": 2}}
    built = build(share, skip_bad_rows=True, **keys)
    assert built.tables["requests"].select(["input_tokens", "output_tokens"]).to_pylist() == [
        {"input_tokens": 4, "output_tokens": 3}
    ]
    assert built.facts["rows_left_out"] == 1
    custom = build(prompts, **keys).tables["requests"]
    assert custom.select(["input_tokens", "output_tokens"]).to_pylist() == [
        {"input_tokens": 3, "output_tokens": 7}
    ]
    with pytest.raises(ConfigError, match=r"workload\.tokenizer: the trace consists of texts"):
        build(share)


def test_dates_in_any_order_count_from_the_earliest_once_sorted(tmp_path: Path) -> None:
    rows = [f"2024-05-10 00:00:{second:02d},{10 + second},5" for second in (7, 3, 9, 1)]
    path = csv_file(tmp_path, "\n".join(rows) + "\n", "TIMESTAMP,ContextTokens,GeneratedTokens\n")
    assert arrivals(build(path, sort=True)) == [0, 2, 6, 8]
    assert build(path, sort=True, window_start_s=1, limit=2).tables["requests"][
        "input_tokens"
    ].to_pylist() == [13, 17]
