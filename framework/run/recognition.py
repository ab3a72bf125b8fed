"""What a file or folder that is to be imported is: found out from its content, never from its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from framework.contracts import Importer
from framework.errors import ConfigError, InputError, did_you_mean
from framework.input_files.file_head import FileHead
from framework.plugins import ask, discover, problem_of

FOLDER_INDEX = "import.json"
"""In a folder that a measurement leaves: `files` (name → kind), and `settings` (dotted name → value) of them all."""


def is_folder_of_recordings(path: Path) -> bool:
    """Whether a path is a folder of files to be imported one by one, and not one recording in several files."""
    if not path.is_dir() or (path / FOLDER_INDEX).is_file():
        return False
    files = [file for file in path.iterdir() if not file.name.startswith(".")]
    if any(file.is_dir() for file in files):
        return True
    try:
        importer, _ = recognised(path)
    except InputError:  # of no one kind
        return True
    # parts of one recording are all of its kind; a part that begins in the middle of it is of none
    return any(_kind_of(file) not in (importer.kind, "") for file in files if file.stat().st_size)


def recordings_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder in order of name; a folder that is one recording as a whole is one of them."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and is_folder_of_recordings(path):
            yield from recordings_below(path)
        else:
            yield path


def _kind_of(file: Path) -> str:
    try:
        return recognised(file)[0].kind
    except InputError:  # of no kind: told when it is imported
        return ""


def recognised(file: Path) -> tuple[Importer, str]:
    """Return the importer of a file and what the file is, found out from its content.

    Raises:
        InputError: no such file, no importer knows it, or several do.
    """
    folder = file.is_dir()
    head = FileHead(_first_file(file) if folder else file)
    found = []
    for importer in importers().values():
        may = not folder or _takes_folder(importer, file)
        words = importer.recognises(head) if importer.recognises and may else None
        if words:
            found.append((importer, words))
    if not found:
        belongs = [item.otherwise(head) for item in importers().values() if item.otherwise]
        elsewhere = next((words for words in belongs if words), None)
        if elsewhere is not None:
            raise InputError(f"{file}: {elsewhere}")
        known = ", ".join(sorted(importers()))
        raise InputError(
            f"{file}: is {head.describe()}: no known format. import KIND {file} names it; kinds: {known}"
        )
    if len(found) > 1:
        kinds = " and ".join(importer.kind for importer, _ in found)
        raise InputError(f"{file}: could be {kinds}: name the kind, import {found[0][0].kind} {file}")
    return found[0]


def _takes_folder(importer: Importer, folder: Path) -> bool:
    return importer.folders(folder) if callable(importer.folders) else importer.folders


def _first_file(folder: Path) -> Path:
    """Return the first file of a folder that holds something; hidden ones are not looked at."""
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith(".") and file.stat().st_size:
            return file
    raise InputError(f"folder '{folder}' contains no file that is not empty")


def importers() -> dict[str, Importer]:
    """Return the plugins' importers by kind; one whose kind is taken is left out and its plugin named."""
    known: dict[str, Importer] = {}
    for plugin, items in reversed(list(ask("importers", Importer))):
        for item in items:
            if known.setdefault(item.kind, item) is not item:
                taken = ConfigError(f"there is an importer '{item.kind}' already")
                discover().note(problem_of(plugin, "importers", taken))
    return known


def importer_of(kind: str) -> Importer:
    """Return the importer of a kind. Raises `InputError` if there is none."""
    known = importers()
    if kind not in known:
        raise InputError(f"unknown kind '{kind}'{did_you_mean(kind, known)}")
    return known[kind]
