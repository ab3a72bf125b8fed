"""What is asked for: configurations that were never run, as rows of the runs' parameters."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from framework.analysis.prediction.features import Column
from framework.analysis.prediction.logged_runs import LoggedRuns, full_name, known_value
from framework.configuration.group_options import group_option
from framework.configuration.search_path import group_files
from framework.errors import ConfigError, UserError, did_you_mean
from framework.store.bundles.record_json import leaf_text, leaves, nested

Settings = dict[str, str]
_MOST_CONFIGURATIONS = 100_000


@dataclass(frozen=True)
class Asked:
    """The configurations asked for.

    Attributes:
        runs: the runs to learn from; a parameter that is the same in all of them is a column if a row differs in it.
        axes: values asked for by full parameter name.
        rows: parameter → text, complete; a model that was never run is described by its file, so that its row may
            have more parameters than the runs.
    """

    runs: LoggedRuns
    axes: Mapping[str, Sequence[str]]
    rows: Sequence[Settings]

    def columns(self) -> dict[str, Column]:
        """Return the rows as columns of the runs' types."""
        found: dict[str, Column] = {}
        for name, values in self.runs.columns.items():
            texts = [row.get(name) or None for row in self.rows]
            if values.dtype.kind == "f":
                found[name] = np.array([np.nan if text is None else float(text) for text in texts])
            else:
                found[name] = np.array(texts, dtype=object)
        return found

    def configs(self) -> list[dict[str, Any]]:
        """Return the rows as nested configurations, those of all runs completed by what is the same in them."""
        return [_config({**self.runs.constants, **row}) for row in self.rows]


def asked_rows(
    runs: LoggedRuns, settings: Sequence[str], grid: Sequence[str], *, described: bool = False
) -> Asked:
    """Return every combination of the values asked for, completed from the runs that agree with it most.

    Args:
        runs: finished runs.
        settings: `key=value`.
        grid: `key=a,b,c`, or `key=*` for every value that was run.
        described: whether a unit that no run has may be asked for by the name of its file, where all runs have the
            same one. A law can predict it, learning alone can't.

    Raises:
        UserError: an unknown parameter or option, or a value of a parameter that has another value in all runs, or
            more combinations than can be looked at.
    """
    axes: dict[str, list[str]] = {}
    facts: dict[tuple[str, str], Settings] = {}
    for text in (*settings, *grid):
        key, equals, values = text.partition("=")
        if not equals or not values:
            raise UserError(f"'{text}' is not key=value")
        name = full_name(key.strip(), runs)
        if name in axes:
            raise UserError(f"'{key}' is given twice")
        wanted = [part.strip() for part in values.replace("|", ",").split(",")]
        if name in runs.constants:
            constant = runs.constants[name]
            new = [] if values == "*" else [v for v in wanted if known_value(v, [constant]) is None]
            if not new:
                continue
            if not described or any(_option(name, value) is None for value in new):
                raise UserError(f"all {len(runs)} runs use {key}={constant}; it can't be varied")
            runs = _varied(runs, name.partition(".")[0])
        known = sorted({shown(value) for value in runs.columns[name].tolist()} - {""}, key=_natural)
        chosen = []
        for value in known if values == "*" else wanted:
            seen = known_value(value, known)
            if seen is None and (facts_of := _described(name, value, known)):
                seen = facts_of[name]
                facts[name, seen] = facts_of
            chosen.append(value if seen is None else seen)
        axes[name] = chosen
        if runs.columns[name].dtype.kind == "f":
            _check_numbers(key, chosen)
    for name, _ in facts:
        runs = _varied(runs, name.partition(".")[0])
    return Asked(runs, axes, _combined(runs, axes, facts))


def _option(name: str, value: str) -> str | None:
    """Return the option of a group that a value of `GROUP.name` means: its file's name, or the name in the file."""
    group, _, leaf = name.partition(".")
    if leaf not in ("name", group):
        return None
    files = group_files(group)
    by_name = {option.lower(): option for option in files}
    if value.lower() in by_name:
        return by_name[value.lower()]
    for option in files:
        try:
            if str(group_option(group, option).get("name", "")).lower() == value.lower():
                return option
        except ConfigError:  # a file that is no option is told when it is chosen
            continue
    return None


def _described(name: str, value: str, known: Sequence[str]) -> Settings:
    """Return the parameters of a model, GPU … that no run has; none for a parameter that names nothing.

    Raises:
        UserError: the group has files, and none describes the value.
    """
    group, _, leaf = name.partition(".")
    if leaf != "name" or not group_files(group):
        return {}
    option = _option(name, value)
    if option is None:
        raise UserError(f"unknown {group} '{value}'{did_you_mean(value, [*known, *group_files(group)])}")
    values = {key: value for key, value in group_option(group, option).items() if key != "_target_"}
    found = {key: leaf_text(value) for key, value in leaves({group: values})}
    return {
        name: option,
        **{key: text for key, text in found.items() if text is not None and "${" not in text},
    }


def _varied(runs: LoggedRuns, group: str) -> LoggedRuns:
    """Return the runs with the constants of a group among the columns, so that a row that differs in them is new."""
    own = {name: value for name, value in runs.constants.items() if name.startswith(f"{group}.")}
    if not own:
        return runs
    columns: dict[str, Column] = dict(runs.columns)
    for name, value in own.items():
        number = _number(value)
        columns[name] = (
            np.full(len(runs), value, dtype=object) if number is None else np.full(len(runs), number)
        )
    constants = {name: value for name, value in runs.constants.items() if name not in own}
    return replace(runs, columns=columns, constants=constants)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _check_numbers(key: str, values: Sequence[str]) -> None:
    for value in values:
        if _number(value) is None:
            raise UserError(f"'{key}={value}': not a number, but this parameter is a number in every run")


def shown(value: object) -> str:
    """Return a value of a column as the text that a command line has; "" for a missing one."""
    if value is None or value != value:
        return ""
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _natural(text: str) -> tuple[bool, float, str]:
    number = _number(text)
    return (True, 0.0, text) if number is None else (False, number, "")


def _combined(
    runs: LoggedRuns, axes: Mapping[str, Sequence[str]], facts: Mapping[tuple[str, str], Settings]
) -> list[Settings]:
    count = int(np.prod([len(values) for values in axes.values()], dtype=np.float64)) if axes else 1
    if count > _MOST_CONFIGURATIONS:
        raise UserError(
            f"the grid has {count} configurations; at most {_MOST_CONFIGURATIONS} are predicted at once"
        )
    texts = {name: [shown(value) for value in values.tolist()] for name, values in runs.columns.items()}
    usual: dict[tuple[str, ...], Settings] = {}
    found = []
    # a number between those that were run says nothing of the other parameters; a model's name says its layers
    fixed = [
        name for name, values in axes.items() if len(values) == 1 or runs.columns[name].dtype.kind != "f"
    ]
    for combination in itertools.product(*axes.values()):
        given = dict(zip(axes, combination, strict=True))
        key = tuple(given[name] for name in fixed)
        if key not in usual:
            usual[key] = _usual(texts, {name: given[name] for name in fixed})
        row = dict(usual[key])
        for pair in given.items():
            row.update(facts.get(pair, {}))
        found.append({**row, **given})
    return found


def _usual(texts: Mapping[str, Sequence[str]], given: Settings) -> Settings:
    """Return the commonest value of each parameter among the runs that share most of the given values."""
    rows = len(next(iter(texts.values())))
    shared = [sum(texts[name][row] == value for name, value in given.items()) for row in range(rows)]
    most = max(shared)
    agreeing = [row for row in range(rows) if shared[row] == most]
    return {
        name: Counter(values[row] for row in agreeing).most_common(1)[0][0] for name, values in texts.items()
    }


def configs_of_runs(runs: LoggedRuns, rows: Sequence[int]) -> list[dict[str, Any]]:
    """Return the nested configurations of some of the runs, by place."""
    return [
        _config({**runs.constants, **{name: shown(values[row]) for name, values in runs.columns.items()}})
        for row in rows
    ]


def _config(params: Mapping[str, str]) -> dict[str, Any]:
    return nested({name: text or None for name, text in params.items()})
