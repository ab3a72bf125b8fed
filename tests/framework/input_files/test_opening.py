"""A file is opened by what it holds, not by what it is called."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pyarrow as pa
import pytest

from framework.errors import InputError
from framework.input_files.file_head import FileHead, json_records
from framework.input_files.opening import opened_text

TEXT = "name,value\nfür,1\n" * 20_000


def arrow_stream(name: str, data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, name) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def snappy_frames(data: bytes) -> bytes:
    frames = b"\xff\x06\x00\x00sNaPpY"
    for start in range(0, len(data), 65536):
        body = b"\0\0\0\0" + pa.compress(data[start : start + 65536], codec="snappy", asbytes=True)
        frames += b"\x00" + len(body).to_bytes(3, "little") + body
    return frames


PACKED = {
    "plain": TEXT.encode(),
    "gzip": gzip.compress(TEXT.encode()),
    "zstd": arrow_stream("zstd", TEXT.encode()),
    "lz4": arrow_stream("lz4", TEXT.encode()),
    "snappy": snappy_frames(TEXT.encode()),
    "xz": lzma.compress(TEXT.encode()),
    "bz2": bz2.compress(TEXT.encode()),
}


@pytest.mark.parametrize("name", PACKED)
def test_compression_is_seen_in_the_first_bytes(name: str, tmp_path: Path) -> None:
    file = tmp_path / "runs.csv.gz"  # the name says nothing
    file.write_bytes(PACKED[name])
    with opened_text(file) as lines:
        assert lines.read() == TEXT
    assert FileHead(file).compression == ("" if name == "plain" else name)


@pytest.mark.parametrize("name", [name for name in PACKED if name != "plain"])
def test_a_packed_file_that_breaks_off_is_no_shorter_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_bytes(PACKED[name][: len(PACKED[name]) * 3 // 4])
    with pytest.raises(InputError, match=r"runs\.csv: can't be read to its end"), opened_text(file) as lines:
        lines.read()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encoding_is_seen_in_the_first_bytes(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_bytes(TEXT.encode(encoding))
    with opened_text(file) as lines:
        assert lines.read() == TEXT
    assert list(FileHead(file).columns) == ["name", "value"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PAR1\x00\x15\x02\x19", "is not a text file but Parquet"),
        (b"SQLite format 3\x00", "is not a text file but SQLite"),
        ("für".encode("latin-1") * 9, "is not a text in UTF-8 or UTF-16"),
    ],
)
def test_what_is_no_text_is_named(data: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_bytes(data)
    with pytest.raises(InputError, match=message), opened_text(file) as lines:
        lines.read()


def test_values_of_a_json_file_come_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text('{"a": 1}\n\n{"a":\n 2}\n')
    assert list(json_records(file)) == [(1, {"a": 1}), (3, {"a": 2})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": ', "line 2.*breaks off"),
        ('{"a": 1}\n{"a" 2}\n{"a": 3}', "line 2, column 6: is not JSON"),
        ('{"a": 1, "a": 2}', "key 'a' occurs twice"),
        ("[" * 100_000, "line 1"),
        ("", "is empty"),
    ],
)
def test_broken_json_is_named_by_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        list(json_records(file))
