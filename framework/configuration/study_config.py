"""The typed top of a study's configuration, and its plain, resolved form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from framework.contracts import Json
from framework.errors import ConfigError, one_line

VOLATILE_KEYS = (
    "advisor",
    "sweep",
    "resume",
    "failed_only",
    "repeats",
    "repeat_until",
    "outputs_dir",
    "progress",
    "artifacts_mb",
    "dry_run",
    "fail_fast",
    "max_failures",
)
"""Top-level keys that say how a study is carried out and read, not what it measures: no part of a run key."""


@dataclass
class SweepPosition:
    """Where a job is in its sweep; filled by the sweeper, null for a single run.

    `name` is what the command line calls the study (`experiment=NAME`), in place of the experiment file's name.
    """

    id: str | None = None
    index: int | None = None
    job_key: str | None = None
    repeat: int = 0
    name: str | None = None


@dataclass
class RepeatUntil:
    """Stop rule for repeats: relative half-width of the mean's 95 % confidence interval.

    Attributes:
        metric: metric whose mean must be known; null switches the rule off.
        half_width: relative half-width to reach (0.02 = ±2 %).
        max_repeats: give up, and say so, after this many.
    """

    metric: str | None = None
    half_width: float = 0.02
    max_repeats: int = 10


@dataclass
class StudyConfig:
    """Top level of `conf/config.yaml`. The groups are typed by the plugins that own them.

    Attributes:
        experiment: name under which runs are listed.
        resume: skip what is already done.
        failed_only: run only what failed, was lost or timed out before.
        repeats: runs of each point, with consecutive seeds.
        outputs_dir: where bundles, the database and reports go.
        progress: show progress and tables on the terminal.
        artifacts_mb: most that the files which a run keeps (logs, profiles) may have together, in MiB; 0 keeps none.
        dry_run: print the points of the study and what of them is done; start nothing (`--dry-run`).
        fail_fast: start no further point of a sweep once one has failed.
        max_failures: start no further point once so many have failed; null: go on past every failure.
        data: input files of a study by a name of its own, for its groups to refer to (`${data.NAME}`).
    """

    experiment: str = "adhoc"
    resume: bool = True
    failed_only: bool = False
    repeats: int = 1
    repeat_until: RepeatUntil = field(default_factory=RepeatUntil)
    outputs_dir: str = "outputs"
    progress: bool = True
    artifacts_mb: float = 256.0
    dry_run: bool = False
    fail_fast: bool = False
    max_failures: int | None = None
    scale: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    backend: Any = MISSING
    model: Any = MISSING
    gpu: Any = MISSING
    workload: Any = MISSING
    metrics: dict[str, Any] = field(default_factory=dict)
    advisor: dict[str, Any] = field(default_factory=dict)
    sweep: SweepPosition = field(default_factory=SweepPosition)


_STUDY_NAME = re.compile(r"[\w][\w.:+-]{0,79}")


def check_study_name(name: str) -> None:
    """Raise `ConfigError` for a name that can't be part of a file's name."""
    if not _STUDY_NAME.fullmatch(name):
        raise ConfigError(
            f"experiment={name}: a name has up to 80 letters, digits, '.', '_', ':', '+' and '-'"
        )


def study_name(config: DictConfig) -> str:
    """Return the name under which a study's runs are listed: that of the command line, else the experiment file's."""
    return str(config.sweep.name or config.experiment)


def without_hydra(config: DictConfig) -> DictConfig:
    """Return a composed configuration as a job gets it: Hydra's own node left out."""
    task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    assert isinstance(task, DictConfig)
    return task


def resolved(config: DictConfig, partly: bool = False) -> dict[str, Json]:
    """Return the configuration as plain dicts and lists with every interpolation resolved.

    A key that merely points at another group as a whole (`backend.model: ${model}`) is kept in the result,
    but `describing_config` leaves it out. `partly` keeps mandatory values that are missing as `???`.

    Raises:
        ConfigError: a mandatory value is missing or an interpolation leads nowhere; names the key.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=not partly, enum_to_str=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "?"
        text = one_line(error)
        raise ConfigError(f"configuration key '{key}': {text}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def describing_config(config: DictConfig, partly: bool = False) -> dict[str, Json]:
    """Return the resolved configuration without pointers to whole groups: each value appears once.

    A value that follows from a volatile key (`${outputs_dir}/profiles`) is left out too: the same study in
    another folder is the same study. This is what run keys are made of and what the store keeps as `params`.
    `partly` is for the base of a sweep, whose axes may give what is missing in it.
    """
    plain = resolved(config, partly)
    if config.get("sweep", {}).get("name"):
        plain["experiment"] = study_name(config)
    for path in list(_not_describing(config)):
        node: Any = plain
        for part in path[:-1]:
            node = node[part]
        node.pop(path[-1], None)
    return plain


def written_config(config: DictConfig) -> dict[str, Json]:
    """Return a configuration as it is written, interpolations and missing values (`???`) as texts."""
    plain = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    return {str(key): value for key, value in plain.items()} if isinstance(plain, dict) else {}


_FOLLOWS_VOLATILE = re.compile(r"\$\{\s*(?:" + "|".join(VOLATILE_KEYS) + r")\b")


def _not_describing(config: DictConfig) -> Iterator[tuple[str, ...]]:
    """Yield the paths of pointers to whole groups, and of values that follow from a volatile key."""
    written = OmegaConf.to_container(config, resolve=False)
    assert isinstance(written, dict)
    yield from _pointers(config, written, ())


def _pointers(
    config: DictConfig, written: Mapping[Any, Json], above: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    for key, value in written.items():
        path = (*above, str(key))
        if OmegaConf.is_interpolation(config, key):
            if _FOLLOWS_VOLATILE.search(str(value)) or isinstance(config[key], DictConfig):
                yield path
        elif isinstance(value, dict):
            yield from _pointers(config[key], value, path)


def flatten(config: Mapping[str, Json], above: str = "") -> Iterator[tuple[str, Json]]:
    """Yield (dotted path, value) of every leaf; a list is a leaf, an empty mapping is none."""
    for key, value in config.items():
        path = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping):
            yield from flatten(value, path)
        else:
            yield path, value
