"""Where configuration groups are looked for: the framework's own folder, the plugins', the user's `--config-dir`.

The same order as Hydra's: what comes first wins. Everything that reads a group's options outside of a composition
asks here, so that a model or GPU of a plugin or of the user counts the same everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from framework.configuration.resources import conf_dir
from framework.errors import ConfigError
from framework.plugins import ask, discover, problem_of

CONFIG_DIR = "FRAMEWORK_CONFIG_DIR"
"""Environment variable that holds `--config-dir`: worker processes of launchers and pools see it too."""

_FLAGS = ("--config-dir", "-cd")


def take_config_dir(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without `--config-dir DIR`, which may stand anywhere, and remember the folder.

    Raises:
        ConfigError: no folder is named, or it does not exist.
    """
    left: list[str] = []
    words = iter(arguments)
    for word in words:
        flag, equals, folder = word.partition("=")
        if flag not in _FLAGS:
            left.append(word)
            continue
        chosen = Path(folder if equals else next(words, ""))
        if not str(chosen) or not chosen.is_dir() or chosen == Path(""):
            raise ConfigError(f"--config-dir: no folder '{chosen}'")
        os.environ[CONFIG_DIR] = str(chosen.resolve())
    return left


def added_locations() -> list[str]:
    """Return what is searched behind the framework's own folder, as Hydra writes it (`file://…`, `pkg://…`)."""
    folders = []
    for plugin, path in ask("config_search_path"):
        wrong: Exception | None = None
        if not isinstance(path, str | Path):
            wrong = TypeError(f"returned {type(path).__name__} instead of a folder")
        elif not any(folder.is_dir() for folder in _folders(_location(str(path)))):
            wrong = ConfigError(f"no folder '{path}'")
        else:
            folders.append(str(path))
        if wrong:
            discover().note(problem_of(plugin, "config_search_path", wrong))
    if os.environ.get(CONFIG_DIR):
        folders.append(os.environ[CONFIG_DIR])
    return [_location(folder) for folder in folders]


def _location(folder: str) -> str:
    return folder if "://" in folder else f"file://{folder}"


def config_roots() -> list[Path]:
    """Return the folders of configuration groups in the order in which they are searched."""
    return [conf_dir(), *(folder for place in added_locations() for folder in _folders(place))]


def _folders(location: str) -> list[Path]:
    """Return the folder of `file://FOLDER`, or those of `pkg://package.module` and `pkg://package/folder`."""
    scheme, _, path = location.partition("://")
    if scheme == "file":
        return [Path(path)]
    package, _, below = path.partition("/")
    try:
        spec = find_spec(package) if scheme == "pkg" else None
    except ModuleNotFoundError:  # Hydra warns of it
        spec = None
    return [Path(folder) / below for folder in (spec and spec.submodule_search_locations) or ()]


def config_groups() -> list[str]:
    """Return the configuration groups that hold YAML files; Hydra's own are left out."""
    found = {file.parent.name for root in config_roots() for file in root.glob("*/*.yaml")}
    return sorted(found - {"hydra"})


def group_files(group: str) -> dict[str, Path]:
    """Return the options of a group that stand as YAML files, by name, in alphabetical order."""
    found: dict[str, Path] = {}
    for folder in (root / group for root in config_roots()):
        for name in os.listdir(folder) if folder.is_dir() else ():
            if name.endswith(".yaml"):
                found.setdefault(name.removesuffix(".yaml"), folder / name)
    return dict(sorted(found.items()))


def option_file(group: str, option: str) -> Path | None:
    """Return the YAML file of one option; None if there is none."""
    files = (root / group / f"{option}.yaml" for root in config_roots())
    return next((file for file in files if file.is_file()), None)
