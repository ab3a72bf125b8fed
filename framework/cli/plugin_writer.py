"""`new-plugin NAME`: a copy of the template, which is a plugin that works, under another name."""

from __future__ import annotations

import re
from pathlib import Path

from framework.configuration.resources import plugin_template
from framework.configuration.search_path import group_files
from framework.errors import ConfigError
from framework.plugins import discover
from framework.store import durable

_TEMPLATE_NAME = "newplugin"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_GROUPS = ("backend", "workload", "advisor", "experiment")
_LEFT_OUT = {"__pycache__", ".pytest_cache", "build", "dist"}


def write_plugin(name: str, parent: Path) -> int:
    """Write the plugin into `parent/framework-NAME`, whole or not at all, and say what to do next.

    Raises:
        ConfigError: the name can't be one, or is taken by a plugin or by an option that the plugin would bring.
        StoreError: the folder is there already, or can't be written.
    """
    name = name.replace("-", "_")
    _check(name)
    distribution = f"framework-{name.replace('_', '-')}"
    with durable.new_folder(parent / distribution) as folder:
        for source in sorted(plugin_template().rglob("*")):
            place = source.relative_to(plugin_template())
            if source.is_file() and not _LEFT_OUT & set(place.parts) and source.suffix != ".pyc":
                target = folder / str(place).replace(_TEMPLATE_NAME, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                text = source.read_text().replace(f"framework-{_TEMPLATE_NAME}", distribution)
                target.write_text(text.replace(_TEMPLATE_NAME, name))
    print(f"{parent / distribution}: a plugin that works; README.md says what each file is for. Next:")
    print(f"  pip install -e '{parent / distribution}[dev]'")
    print(f"  pytest {parent / distribution}")
    print(f"  python -m framework +experiment={name}")
    return 0


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"plugin name '{name}': lower-case letters, digits and single underscores, a letter first"
        )
    if name in {plugin.name for plugin in discover().plugins}:
        raise ConfigError(
            f"plugin name '{name}': there is a plugin of this name (python -m framework plugins)"
        )
    for group in _GROUPS:
        if name in group_files(group):
            raise ConfigError(f"plugin name '{name}': {group}={name} is there already")
