"""The profilers themselves: where they are, how a recipe starts them, how their reports are exported."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from framework.errors import ConfigError, InputError, did_you_mean

EXPORT_TIMEOUT_S = 900.0
_REPORTS = {"nsys": ".nsys-rep", "ncu": ".ncu-rep"}
_INSTALL = {
    "nsys": "Nsight Systems (package nsight-systems of NVIDIA's repository, or the CUDA toolkit)",
    "ncu": "Nsight Compute (package nsight-compute of NVIDIA's repository, or the CUDA toolkit)",
}


@dataclass(frozen=True)
class Recipe:
    """How to ask one question.

    Attributes:
        name: as in `metrics.nsight.recipe`.
        tool: `nsys` or `ncu`.
        about: what it measures, and its overhead.
        arguments: of the tool.
    """

    name: str
    tool: str
    about: str
    arguments: tuple[str, ...]


@cache
def recipes() -> Mapping[str, Recipe]:
    """Return the recipes of `recipes.yaml` by name."""
    import yaml  # type: ignore[import-untyped]

    table = yaml.safe_load(Path(__file__).with_name("recipes.yaml").read_text(encoding="utf-8"))
    return {
        name: Recipe(name, item["tool"], item["about"], tuple(item["arguments"]))
        for name, item in table.items()
    }


def recipe(name: str) -> Recipe:
    """Return a recipe. Raises `ConfigError` that names the known ones."""
    known = recipes()
    if name not in known:
        raise ConfigError(f"metrics.nsight.recipe: unknown recipe '{name}'{did_you_mean(name, known)}")
    return known[name]


def find_tool(tool: str, path: str | None = None) -> str | None:
    """Return the program of a tool (`path`, else what PATH finds); None if there is none."""
    return shutil.which(path or tool)


def missing_tool(tool: str) -> str:
    """Return the one line that says what to install."""
    return f"no '{tool}' on this machine; install {_INSTALL[tool]}, or set metrics.nsight.{tool}"


def command_prefix(
    program: str,
    chosen: Recipe,
    report: Path,
    extra: Sequence[str] = (),
    delay_s: float = 0.0,
    duration_s: float | None = None,
) -> list[str]:
    """Return the words that start a process under a profiler which writes `report` (without its suffix).

    `delay_s` and `duration_s` bound the collection of `nsys`; `ncu` is bounded by launches instead.
    """
    if chosen.tool == "ncu":
        return [program, *chosen.arguments, *extra, "--force-overwrite", f"--export={report}"]
    window = [f"--delay={delay_s:g}"] if delay_s else []
    if duration_s is not None:
        window.append(f"--duration={duration_s:g}")
        window.append("--kill=none")  # the engine goes on when the collection ends
    ending = ["--force-overwrite=true", f"--output={report}"]
    return [program, "profile", *chosen.arguments, *extra, *window, *ending]


def report_file(tool: str, report: Path) -> Path:
    """Return the file that a tool makes of `report`."""
    return report.with_name(report.name + _REPORTS[tool])


def exported(path: Path, folder: Path, programs: Mapping[str, str] | None = None) -> Path:
    """Return a file that we can read: the path itself, or the export of a tool's own report into `folder`.

    Args:
        programs: by tool, where they are not the ones that PATH finds.

    Raises:
        InputError: the tool that can export it is not here, or fails; one line with its last words.
    """
    tool = next((tool for tool, suffix in _REPORTS.items() if path.suffix == suffix), None)
    if tool is None:
        return path
    program = (programs or {}).get(tool) or find_tool(tool)
    if program is None:
        there = {
            "nsys": "nsys export --type=sqlite",
            "ncu": "ncu --csv --page raw --import",
        }[tool]
        raise InputError(f"{path}: {missing_tool(tool)}, or export it where it was made: {there} {path.name}")
    if tool == "nsys":
        out = folder / f"{path.stem}.sqlite"
        _run(
            [program, "export", "--type=sqlite", "--force-overwrite=true", f"--output={out}", str(path)], path
        )
        return out
    out = folder / f"{path.stem}.csv"
    out.write_text(_run([program, "--import", str(path), "--csv", "--page", "raw"], path), encoding="utf-8")
    return out


def _run(command: Sequence[str], path: Path) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=EXPORT_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{path}: {command[0]} failed: {error}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise InputError(f"{path}: {Path(command[0]).name} could not export it: {said}")
    return done.stdout
