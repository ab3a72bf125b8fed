from __future__ import annotations

from pathlib import Path

import pytest

from framework.run.kept_files import MOST_TEXT_BYTES, kept_files, logs_of


def made(folder: Path, **contents: bytes | str) -> dict[str, Path]:
    files = {}
    for name, content in contents.items():
        file = folder / name.replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        files[name] = file
    return files


def test_files_are_kept_under_what_they_are_and_two_of_one_name_get_a_number(tmp_path: Path) -> None:
    one, two = made(tmp_path / "a", x_txt="1")["x_txt"], made(tmp_path / "b", x_txt="2")["x_txt"]
    kept = kept_files([("log", [one, two]), ("history", one)], tmp_path / "copies", 1)
    assert kept.files == {"log/x.txt": one, "log/x-2.txt": two, "history/x.txt": one}
    assert kept.notes == {}


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    files = made(tmp_path / "trace", a_json="1", b_json="2")
    kept = kept_files([("trace", tmp_path / "trace")], tmp_path / "copies", 1)
    assert list(kept.files.values()) == [files["a_json"], files["b_json"]]


def test_a_long_log_keeps_its_begin_and_its_end_and_says_what_is_missing(tmp_path: Path) -> None:
    lines = [f"line {number} of a long log\n" for number in range(400_000)]
    log = made(tmp_path, engine_log="".join(lines))["engine_log"]
    kept = kept_files([("log", log)], tmp_path / "copies", 64)
    text = kept.files["log/engine.log"].read_text()
    assert len(text) <= MOST_TEXT_BYTES + 100
    head, gap, tail = (part.splitlines(keepends=True) for part in text.partition("\n[…")[::1])
    assert head == lines[: len(head)]
    shown = tail[2:]
    assert shown == lines[-len(shown) :]
    missing = sum(map(len, lines)) - sum(map(len, head)) - sum(map(len, shown))
    assert f" {missing} bytes left out by framework …]\n" == tail[0]
    assert gap == ["\n", "[…"]
    assert kept.notes == {
        "log/engine.log": f"shortened: the begin and the end of {log.stat().st_size / 2**20:.1f} MiB"
    }


def test_what_is_beyond_the_limit_is_left_out_with_a_note_and_smaller_files_stay(tmp_path: Path) -> None:
    files = made(tmp_path, big_bin=bytes(3 << 20), small_bin=b"1")
    kept = kept_files([("profile", [files["big_bin"], files["small_bin"]])], tmp_path / "copies", 2)
    assert list(kept.files) == ["profile/small.bin"]
    assert kept.notes == {"profile/big.bin": "left out: 3.0 MiB, the limit of a run is artifacts_mb=2"}
    assert kept_files([("profile", list(files.values()))], tmp_path / "copies", 0).files == {}


def test_a_file_that_is_not_there_is_a_note(tmp_path: Path) -> None:
    kept = kept_files([("profile", tmp_path / "nothing.bin")], tmp_path / "copies", 1)
    assert kept.notes == {"profile/nothing.bin": "left out: nothing.bin is not a file that can be read"}


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden"])
def test_a_name_that_names_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="artifact name"):
        kept_files([(name, made(tmp_path, x_log="1")["x_log"])], tmp_path / "copies", 1)


def test_logs_of_a_scratch_folder_are_those_that_hold_anything(tmp_path: Path) -> None:
    files = made(tmp_path, a_log="1", b_log="", c_txt="1")
    assert logs_of(tmp_path) == [files["a_log"]]
