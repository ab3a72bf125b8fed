from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.errors import ConfigError
from framework_vllm.engine import interpreter as module
from framework_vllm.engine.interpreter import engine_identity, find_engine, interpreter_words
from tests.framework_vllm.fake_engine import interpreter


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FRAMEWORK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("FRAMEWORK_VLLM_PYTHON", raising=False)
    monkeypatch.setattr(module, "conf_dir", lambda: tmp_path / "checkout" / "conf")
    monkeypatch.chdir(tmp_path)
    engine_identity.cache_clear()
    find_engine.cache_clear()
    yield
    engine_identity.cache_clear()
    find_engine.cache_clear()


def program(file: Path, text: str) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


def test_the_configured_interpreter_goes_before_the_variable_and_that_before_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_checkout = program(tmp_path / "checkout" / ".venv-vllm" / "bin" / "python", "")
    assert interpreter_words(None) == (in_checkout,)
    here = program(tmp_path / ".venv-vllm" / "bin" / "python", "")
    assert interpreter_words(None) == (here,)
    named = program(tmp_path / "named", "")
    monkeypatch.setenv("FRAMEWORK_VLLM_PYTHON", named)
    assert interpreter_words(None) == (named,)
    assert interpreter_words(sys.executable) == (sys.executable,)


def test_behind_a_container_command_stands_its_own_python() -> None:
    assert interpreter_words(None, ["docker", "run", "image"]) == ("docker", "run", "image", "python3")
    assert interpreter_words("/opt/python", ["docker", "run", "image"])[-1] == "/opt/python"


def test_without_any_the_error_says_how_to_install_one() -> None:
    with pytest.raises(ConfigError) as refused:
        interpreter_words(None)
    assert str(refused.value).startswith("backend.python: no interpreter with vLLM is known")
    assert ".ci/vllm_cpu.sh" in str(refused.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("exit 0", "is not a Python interpreter: it could not run the check"),
        (
            "echo 'ImportError: libcuda.so.1: cannot open' >&2; exit 1",
            "can't load vLLM: ImportError: libcuda.so.1",
        ),
        ("exit 3", "can't load vLLM: status 3"),
    ],
)
def test_an_interpreter_that_does_not_answer_is_named_with_what_it_said(
    tmp_path: Path, body: str, message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        find_engine((program(tmp_path / "python", body),))
    assert message in str(refused.value)


def test_an_interpreter_without_vllm_is_told_apart_from_a_broken_one() -> None:
    with pytest.raises(ConfigError, match="has no vLLM; install it"):
        find_engine((sys.executable,))


def test_flags_are_asked_for_once_for_an_installed_version(tmp_path: Path) -> None:
    words = (interpreter(tmp_path),)
    first = find_engine(words)
    assert (first.version, first.platform) == ("0.0", "cpu")
    assert first.knows("max_num_seqs")
    kept = list((tmp_path / "cache").rglob("flags/*.json"))
    assert len(kept) == 1
    kept[0].write_text(kept[0].read_text().replace("max-num-seqs", "max-num-sequences"))
    find_engine.cache_clear()
    assert find_engine(words).knows("max_num_sequences")


def test_a_torn_answer_in_the_cache_is_asked_for_again(tmp_path: Path) -> None:
    words = (interpreter(tmp_path),)
    find_engine(words)
    kept = next((tmp_path / "cache").rglob("flags/*.json"))
    kept.write_text("{")
    find_engine.cache_clear()
    assert find_engine(words).knows("max_num_seqs")
