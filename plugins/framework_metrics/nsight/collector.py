"""`metrics=nsight`: the backend's processes start under a profiler, and its reports become metrics and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from framework.contracts import Metric, Result, SanityCheck
from framework.errors import ConfigError, InputError
from framework_metrics.nsight import tools
from framework_metrics.nsight.metric_definitions import COUNTER_METRICS, NSIGHT_UNITS, TIMELINE_METRICS

if TYPE_CHECKING:
    from framework.contracts import RunContext


class NsightCollector:
    """Profiles one process of the backend. Keys: see `NsightSettings`.

    Profilers of several processes on one GPU disturb each other, so only the process named by `process` is started
    under the tool, by default the first one that the backend starts.
    """

    stop_timeout_s = tools.EXPORT_TIMEOUT_S + 60.0

    def __init__(
        self,
        recipe: str = "timeline",
        process: str | None = None,
        nsys: str | None = None,
        ncu: str | None = None,
        arguments: Sequence[str] = (),
        delay_s: float = 0.0,
        duration_s: float | None = None,
        keep: bool = False,
    ) -> None:
        self.recipe = tools.recipe(recipe)
        self.process = process
        self.programs = {"nsys": nsys, "ncu": ncu}
        self.arguments = [str(word) for word in arguments]
        self.delay_s = _not_negative("delay_s", delay_s)
        self.duration_s = None if duration_s is None else _not_negative("duration_s", duration_s)
        self.keep = keep
        own = TIMELINE_METRICS if self.recipe.tool == "nsys" else COUNTER_METRICS
        self.metric_names = tuple(item.name for item in own)
        self._program: str | None = None
        self._report: Path | None = None
        self._folder: Path | None = None
        self._run_id = ""

    def start(self, context: RunContext) -> None:
        """Find the tool. Raises `ConfigError` with what to install if it is not here."""
        tool = self.recipe.tool
        self._program = tools.find_tool(tool, self.programs[tool])
        if self._program is None:
            raise ConfigError(tools.missing_tool(tool))
        self._folder = context.scratch
        self._run_id = context.run_id

    def command_prefix(self, process: str) -> Sequence[str]:
        """Return the profiler's command line for the process that is to be profiled; empty for the others."""
        chosen = process == self.process if self.process else self._report is None
        if not chosen or self._program is None or self._folder is None:
            return ()
        self._report = self._folder.resolve() / f"{self._run_id}-{process}-{self.recipe.name}"
        return tools.command_prefix(
            self._program, self.recipe, self._report, self.arguments, self.delay_s, self.duration_s
        )

    def stop(self) -> Result:
        """Read the report; what is missing is absent with the reason."""
        from framework_metrics.nsight.results import read_profile

        if self._report is None or self._folder is None:
            asked = f"named '{self.process}'" if self.process else "with a process that a profiler can start"
            return self._nothing(f"the backend started no process {asked}")
        report = tools.report_file(self.recipe.tool, self._report)
        if not report.is_file():
            return self._nothing(
                f"{self.recipe.tool} left no report {report.name}: it was ended before it could write one "
                "(backend.stop_grace_s), or could not profile here (its words are in the log of the process)"
            )
        known = {tool: program for tool, program in self.programs.items() if program}
        try:
            result = read_profile(tools.exported(report, self._folder, known))
        except InputError as error:
            result = self._nothing(str(error))
        result.facts["recipe"] = self.recipe.name
        if self.keep:
            result.artifacts["nsight_report"] = report
        return result

    def _nothing(self, reason: str) -> Result:
        metrics = [
            Metric.absent(name, reason, NSIGHT_UNITS[name], self.recipe.tool) for name in self.metric_names
        ]
        return Result(metrics, checks=[SanityCheck("nsight", "warn", reason)])


def _not_negative(key: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ConfigError(f"metrics.nsight.{key}: {value!r} is not a number of at least 0")
    return float(value)
