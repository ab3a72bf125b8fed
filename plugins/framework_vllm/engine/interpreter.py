"""Finds the interpreter that has vLLM, and asks it once what it is and which flags its server takes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from framework.configuration.resources import cache_folder, conf_dir
from framework.errors import SetupError
from framework_vllm.engine import engine_probe

VARIABLE = "FRAMEWORK_VLLM_PYTHON"
KEYS = ("backend.python",)  # what a fault of the interpreter depends on: all points that share it have it
INSTALL = "install it into its own environment: docs/vllm.md, or on a CPU `.ci/vllm_cpu.sh .venv-vllm`"
_IDENTITY_TIMEOUT_S, _FLAGS_TIMEOUT_S = 60.0, 300.0


@dataclass(frozen=True)
class Flag:
    """One flag of the server.

    Attributes:
        options: its spellings, dashes included; a switch that can be turned off has a `--no-` one.
        takes_value: False for a switch.
        many: whether several values may follow.
        choices: allowed values; None: any.
        type: name of the parser's type, `int` and `float` among them; None: text.
    """

    options: tuple[str, ...]
    takes_value: bool
    many: bool
    choices: tuple[str, ...] | None
    type: str | None


@dataclass(frozen=True)
class Engine:
    """An installed vLLM.

    Attributes:
        words: how to run its interpreter, a container's command included.
        version: of the distribution (`0.32.0`).
        distribution: `vllm` or `vllm-cpu`.
        platform: device type as vLLM names it (`cuda`, `cpu`, `rocm` …).
        flags: what its server takes, by name without dashes and with underscores.
    """

    words: tuple[str, ...]
    version: str
    distribution: str
    platform: str
    flags: dict[str, Flag]

    @property
    def label(self) -> str:
        """Distribution, version and platform: another label, another engine."""
        return f"{self.distribution} {self.version} {self.platform}"

    def knows(self, name: str) -> bool:
        """Return whether the server has the flag (`enable_per_request_metrics`)."""
        return name in self.flags


def interpreter_words(python: str | None, command: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the words that run the engine's interpreter.

    Args:
        python: as configured (`backend.python`); None: the environment variable, `.venv-vllm` in this folder or in
            the checkout, our own interpreter if it has vLLM.
        command: words before it; inside a container the default is `python3`.

    Raises:
        ConfigError: there is none.
    """
    if command:
        return (*command, python or "python3")
    given = python or os.environ.get(VARIABLE)
    if given:
        if not os.access(given, os.X_OK):
            raise SetupError(
                f"backend.python: '{given}' is not an interpreter that can be run; {INSTALL}", KEYS
            )
        return (given,)
    for folder in (Path.cwd(), conf_dir().parent):
        candidate = folder / ".venv-vllm" / "bin" / "python"
        if os.access(candidate, os.X_OK):
            return (str(candidate),)
    if find_spec("vllm") is not None:
        return (sys.executable,)
    raise SetupError(
        f"backend.python: no interpreter with vLLM is known ({VARIABLE} is not set); {INSTALL}", KEYS
    )


@dataclass(frozen=True)
class Identity:
    """Which vLLM an interpreter has, known without importing it."""

    distribution: str
    version: str
    installed: int
    python: str


@cache
def engine_identity(words: tuple[str, ...]) -> Identity:
    """Return which vLLM it is. Raises `ConfigError` if there is none."""
    told = _ask(words, "identity", _IDENTITY_TIMEOUT_S)
    if told["version"] is None:
        raise SetupError(f"backend.python: '{words[-1]}' has no vLLM; {INSTALL}", KEYS)
    return Identity(**told)


@cache
def find_engine(words: tuple[str, ...]) -> Engine:
    """Return what the interpreter has. The slow part of the answer is kept in the user's cache folder.

    Raises:
        ConfigError: it has no vLLM, or one that can't be imported; the last line of what it said.
    """
    identity = engine_identity(words)
    key = json.dumps(
        [words, asdict(identity), Path("/dev/nvidiactl").exists(), _probe_source()], sort_keys=True
    )
    kept = cache_folder("vllm") / "flags" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    try:
        answer = json.loads(kept.read_text())
    except (OSError, ValueError):
        answer = _ask(words, "flags", _FLAGS_TIMEOUT_S)
        _keep(kept, answer)
    flags = {_name(flag): flag for flag in map(_flag, answer["flags"])}
    return Engine(words, identity.version, identity.distribution, answer["platform"], flags)


def _ask(words: tuple[str, ...], question: str, timeout_s: float) -> Any:
    command = [*words, "-c", _probe_source(), question]
    environment = {
        **os.environ,
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except OSError as error:
        raise SetupError(f"backend.python: '{words[0]}' can't be run: {error.strerror}", KEYS) from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(
            f"backend.python: '{words[-1]}' gave no answer within {timeout_s:g} s", KEYS
        ) from error
    for line in done.stdout.splitlines():
        if line.startswith(engine_probe.MARK):
            return json.loads(line.removeprefix(engine_probe.MARK))
    if done.returncode == 0:
        raise SetupError(
            f"backend.python: '{words[-1]}' is not a Python interpreter: it could not run the check", KEYS
        )
    said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    reason = said[-1].strip() if said else f"status {done.returncode}"
    raise SetupError(f"backend.python: '{words[-1]}' can't load vLLM: {reason}", KEYS)


@cache
def _probe_source() -> str:
    return Path(engine_probe.__file__).read_text()


def _keep(file: Path, answer: Any) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(answer))
        draft.replace(file)
    except OSError:
        return  # a cache that can't be written costs seconds, no result


def _flag(told: dict[str, Any]) -> Flag:
    return Flag(
        tuple(told["options"]),
        told["nargs"] != 0,
        told["nargs"] in ("+", "*") or (isinstance(told["nargs"], int) and told["nargs"] > 1),
        tuple(told["choices"]) if told["choices"] else None,
        told["type"],
    )


def _name(flag: Flag) -> str:
    return (
        max(flag.options, key=lambda option: (not option.startswith("--no-"), len(option)))
        .lstrip("-")
        .replace("-", "_")
    )
