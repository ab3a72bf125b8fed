"""A collector that must start the engine itself puts its words before the engine's command."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.contracts import RunContext
from framework_vllm.engine.interpreter import engine_identity, find_engine
from tests.framework_vllm.test_vllm_backend import backend, workload


@pytest.mark.slow
def test_each_replica_starts_behind_the_words_that_a_profiler_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEWORK_CACHE_DIR", str(tmp_path / "cache"))
    for cached in (engine_identity, find_engine):
        cached.cache_clear()
    profiler = tmp_path / "profiler"
    profiler.write_text('#!/bin/sh\necho "$1" >> "$0.log"\nshift\nexec "$@"\n')
    profiler.chmod(0o755)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    context = RunContext("run", {}, 0, scratch, command_prefix=lambda process: [str(profiler), process])
    result = backend(tmp_path, replicas=2).run(workload(), context)
    assert sorted(Path(f"{profiler}.log").read_text().split()) == ["engine-0", "engine-1"]
    assert result.tables["requests"]["status"].to_pylist() == ["finished"] * 6
