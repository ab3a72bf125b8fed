"""`backend=vllm_offline`: one engine without a server, a whole grid of lock-step batches, every step timed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework.contracts import Json, Result, RunContext, SanityCheck, WorkloadTables
from framework.errors import ConfigError
from framework.processes.child_process import ChildProcess
from framework_serving.engine_knobs import checked_settings
from framework_vllm.engine.environment import socket_folder
from framework_vllm.offline.batch_grid import grid_of
from framework_vllm.offline.command import DRIVER, offline_command
from framework_vllm.offline.settings import OfflineSettings
from framework_vllm.server.start_failures import (
    EngineDiedError,
    EngineFailedError,
    EngineStartTimeoutError,
    last_line,
    root_cause,
    start_failure,
)

_POLL_S = 0.2
_TAKEN_WARN = 0.1


class OfflineBackend:
    """Times the steps of an in-process engine; see `OfflineSettings` for its keys."""

    def __init__(self, **keys: Any) -> None:
        self.settings: OfflineSettings = checked_settings(OfflineSettings, keys)

    def fingerprint(self) -> str:
        """Return the version of the engine, asked before it starts."""
        from framework_vllm.engine.interpreter import find_engine, interpreter_words

        return find_engine(interpreter_words(self.settings.python, self.settings.command)).label

    def check(self, workload: WorkloadTables) -> None:
        """Raise `ConfigError` for a grid that can't be measured, or an engine that isn't there."""
        grid = grid_of(self.settings, workload)
        longest = max(point.input_tokens for point in grid.points) + grid.decode_steps + 2
        limit = self.settings.max_model_len or int((self.settings.model or {}).get("max_model_len") or 0)
        if limit and longest > limit:
            raise ConfigError(
                f"backend.prompt_tokens: prompts, {grid.decode_steps} decode steps and two tokens make {longest} "
                f"tokens, backend.max_model_len is {limit}"
            )
        offline_command(self.settings, workload)

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Measure the grid. Raises `EngineFailedError` with the engine's own words; nothing is left running."""
        grid = grid_of(self.settings, workload)
        command = offline_command(self.settings, workload)
        plan, results = context.scratch / "plan.json", context.scratch / "results.jsonl"
        plan.write_text(json.dumps(command.plan(grid, self.settings, context.seed)), encoding="utf-8")
        words = [
            *context.command_prefix("engine"),
            *command.engine_words,
            str(DRIVER),
            str(plan),
            str(results),
        ]
        environment = {**socket_folder(context.scratch), **command.environment}
        child = ChildProcess(
            words, context.scratch / "engine.log", environment, grace_s=self.settings.stop_grace_s
        )
        try:
            self._wait(child, results, len(grid.points) * self.settings.repeats, context)
        finally:
            child.end()
        lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        return _result(lines, self.settings)

    def _wait(self, child: ChildProcess, results: Path, points: int, context: RunContext) -> None:
        """Wait for the driver's end while it makes progress. Raises what went wrong."""
        started, settings, window = time.monotonic(), self.settings, context.window
        while (ending := child.ending) is None:
            lines = _lines(results)
            waited = time.monotonic() - started
            if lines and window.begin_s is None:
                window.begin_s = time.monotonic()
            if lines > points and window.end_s is None:
                window.end_s = time.monotonic()
            if not lines and waited > settings.start_timeout_s:
                said = last_line(child.log_text())
                raise EngineStartTimeoutError(
                    f"the engine was not ready after {settings.start_timeout_s:g} s (backend.start_timeout_s); "
                    f"its last log line: {said}"
                )
            if waited > settings.start_timeout_s + settings.timeout_s:
                raise EngineFailedError(
                    f"{lines - 1} of {points} measurements were made in {settings.timeout_s:g} s (backend.timeout_s)"
                )
            text = (
                f"{max(0, lines - 1)} of {points} measurements"
                if lines
                else f"engine starting, {waited:.0f} s"
            )
            context.progress(max(0, lines - 1) / points, text)
            time.sleep(_POLL_S)
        window.end_s = window.end_s or time.monotonic()
        if ending != "ended with status 0":
            log = child.log_text()
            if not _lines(results):
                raise start_failure(ending, log)
            cause = root_cause(log) or last_line(log)
            raise EngineDiedError(f"the engine {ending} in the middle of the grid: {cause}")


def _lines(results: Path) -> int:
    try:
        return results.read_bytes().count(b"\n")
    except OSError:
        return 0


def _result(lines: list[dict[str, Any]], settings: OfflineSettings) -> Result:
    from framework_vllm.offline.steps import largest_batch_metrics, steps_table, taken_share

    facts: dict[str, Json] = dict(lines[0]["facts"])
    measured = [line for line in lines[1:] if "steps" in line]
    left_out = [line for line in lines[1:] if "left_out" in line]
    if not measured:
        raise EngineFailedError(f"no point of the grid could be measured: {left_out[0]['left_out']}")
    engine = facts["engine"]
    table = steps_table(measured, engine["max_loras"], engine["max_lora_rank"])
    facts["points"] = len(measured) // settings.repeats
    checks = [
        SanityCheck("grid_measured", "warn", f"{_named(line['point'])} left out: {line['left_out']}")
        for line in left_out
        if line["repeat"] == 0
    ]
    checks = checks or [SanityCheck("grid_measured", "pass", f"all {facts['points']} points in lock step")]
    checks += _core_check(taken_share(table))
    return Result(list(largest_batch_metrics(table)), {"offline_steps": table}, facts, checks)


def _core_check(taken: float | None) -> list[SanityCheck]:
    """Judge whether an engine on a CPU had its core; its wall-clock times mean little where it had not."""
    if taken is None:
        return []
    detail = f"other processes took {100 * taken:.0f} % of the engine's time"
    return [SanityCheck("core_to_itself", "warn" if taken > _TAKEN_WARN else "pass", detail)]


def _named(point: Mapping[str, int]) -> str:
    return f"batch {point['batch']}, {point['input_tokens']} tokens, {point['adapters']} adapters"
