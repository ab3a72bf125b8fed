"""The reference pages, made from the code: verbs, configuration groups, metrics, hooks."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

_MADE = "<!-- made from the code by docs/site/reference.py -->\n"


def reference_pages() -> dict[str, str]:
    """Return the text of each page by its path in the site."""
    return {
        "reference/verbs.md": verbs_page(),
        "reference/configuration.md": configuration_page(),
        "reference/metrics.md": metrics_page(),
        "reference/hooks.md": hooks_page(),
    }


def _cell(value: object) -> str:
    text = " ".join(str(value).split()).replace("|", "\\|")
    return text.replace("<", "&lt;")


def _table(heads: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(_cell(value) for value in row)} |" for row in rows)]) + "\n"


def verbs_page() -> str:
    """Return every verb with its arguments, options, defaults and example, as `--help` prints them."""
    from framework.cli.verbs import build_app

    command = typer.main.get_command(build_app())
    parts = [_MADE, "# Verbs\n", "`python -m framework VERB --help` prints the same.\n"]
    for words, verb in _verbs(command, ""):
        parts.append(f"## {words}\n")
        text = inspect.cleandoc(verb.help or "")
        about, _, example = text.partition("Example: ")
        parts.append(about.strip() + "\n")
        usage = " ".join(verb.collect_usage_pieces(typer.Context(verb, info_name=words)))
        parts.append(f"```text\npython -m framework {words} {usage}\n```\n")
        rows = [
            (f"`{_spelling(option)}`", getattr(option, "help", "") or "", _default(option))
            for option in verb.params
            if option.name != "help"
        ]
        if rows:
            parts.append(_table(("argument or option", "meaning", "default"), rows))
        if example:
            parts.append(f"```bash\n{example.strip()}\n```\n")
    return "\n".join(parts)


def _verbs(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    for name, verb in sorted(getattr(command, "commands", {}).items()):
        path = f"{words} {name}".strip()
        if getattr(verb, "commands", None):
            yield from _verbs(verb, path)
        else:
            yield path, verb


def _spelling(option: Any) -> str:
    if option.param_type_name == "argument":
        return str(option.metavar or option.name.upper()) + (" …" if option.nargs == -1 else "")
    return ", ".join(option.opts)


def _default(option: Any) -> str:
    value = option.default
    if callable(value) or value is None or value == () or value == []:
        return "needed" if option.required else ""
    return f"`{value}`"


def metrics_page() -> str:
    """Return every metric that an installed plugin defines."""
    from framework.contracts import MetricDefinition
    from framework.plugins import ask

    parts = [
        _MADE,
        "# Metrics\n",
        "Defined by the plugins; in SQL the table `metric_definitions`. Higher ↑ or lower ↓ is better; without an"
        " arrow, no direction is better. `pareto`, `advise` and `predict` read the direction from here.\n",
    ]
    arrows = {"higher": "↑", "lower": "↓", "none": ""}
    for plugin, defined in sorted(ask("metric_definitions", MetricDefinition), key=lambda item: item[0]):
        parts.append(f"## {plugin}\n")
        rows = [(f"`{item.name}`", item.unit, arrows[item.better], item.description) for item in defined]
        parts.append(_table(("metric", "unit", "better", "meaning"), rows))
    return "\n".join(parts)


def hooks_page() -> str:
    """Return every hook: its signature, what it returns, and which installed plugins implement it."""
    from framework import hookspecs
    from framework.plugins import discover

    hooks = [
        (name, function)
        for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
        if hasattr(function, f"{hookspecs.NAMESPACE}_spec")
    ]
    parts = [
        _MADE,
        "# Hooks\n",
        "An example of each, and the classes that it uses: [plugins](../plugins.md#hooks).\n",
    ]
    for name, function in sorted(hooks, key=lambda hook: hook[1].__code__.co_firstlineno):
        signature = str(inspect.signature(function)).replace("'", "")
        users = [f"`{plugin.name}`" for plugin in discover().plugins if name in plugin.hooks]
        parts.append(f"## {name}\n\n```python\ndef {name}{signature}\n```\n\n{inspect.getdoc(function)}\n")
        parts.append(
            f"Implemented by {', '.join(users)}.\n" if users else "Not implemented by an installed plugin.\n"
        )
    return "\n".join(parts)


def configuration_page() -> str:
    """Return every configuration group: its options with what their files say, and the keys of its classes."""
    from framework.configuration.search_path import config_groups, group_files
    from framework.configuration.study_config import StudyConfig

    parts = [
        _MADE,
        "# Configuration groups\n",
        "`group=option` selects an option, `group.key=value` sets a key of it."
        " `python -m framework … --cfg job` prints what a command composes.\n",
        "## Top level\n",
        _table(("key", "default", "meaning"), _keys(StudyConfig)),
    ]
    schemas = _schemas()
    for group in config_groups():
        parts.append(f"## {group}\n")
        rows = [(f"`{name}`", _about(file)) for name, file in group_files(group).items()]
        parts.append(_table(("option", "about"), rows))
        for name, schema in schemas.get(group, {}).items():
            keys = _keys(schema)
            if keys:
                summary = (inspect.getdoc(schema) or name).partition("\n\n")[0]
                parts.append(f"### {group}: {schema.__name__}\n\n{summary}\n")
                parts.append(_table(("key", "default", "meaning"), keys))
    return "\n".join(parts)


def _schemas() -> Mapping[str, Mapping[str, type]]:
    from framework.plugins import ask

    found: dict[str, dict[str, type]] = {}
    for _, schemas in ask("config_schemas", tuple):
        for group, name, schema in schemas:
            known = found.setdefault(group, {})
            if schema not in known.values():
                known[name] = schema
    return found


def _about(file: Path) -> str:
    """Return the comment at the head of an option's file; without one, what it names."""
    lines = []
    for line in file.read_text().splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


def _keys(schema: type) -> list[tuple[object, ...]]:
    """Return (key, default, meaning) of a dataclass and its bases; meanings are those of the docstrings."""
    from dataclasses import MISSING, fields

    meanings: dict[str, str] = {}
    for base in reversed(schema.__mro__):
        meanings.update(_attributes(base.__doc__ or ""))
    rows: list[tuple[object, ...]] = []
    for item in fields(schema):  # type: ignore[arg-type]
        if item.name in ("_target_", "name") or item.name.startswith("_"):
            continue
        default = item.default if item.default is not MISSING else None
        if item.default_factory is not MISSING:
            made = item.default_factory()
            default = "" if hasattr(made, "__dataclass_fields__") or not made else made
        shown = "null" if default is None else default
        rows.append(
            (f"`{item.name}`", "" if shown in ("", "???") else f"`{shown}`", meanings.get(item.name, ""))
        )
    return rows


def _attributes(docstring: str) -> dict[str, str]:
    """Return the attributes that a docstring describes: `a, b: meaning`, further lines indented."""
    text = inspect.cleandoc(docstring).partition("Attributes:\n")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        match = re.match(r" {4}([\w, ]+): (.*)", line)
        if match:
            names = [name.strip() for name in match[1].split(",")]
            found.update(dict.fromkeys(names, match[2]))
        else:
            for name in names:
                found[name] += " " + line.strip()
    return found
