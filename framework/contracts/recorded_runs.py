"""Runs that happened elsewhere, and what brings them into the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.contracts.outcomes import Result

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.input_files.file_head import FileHead


@dataclass(frozen=True)
class ImportedRun:
    """A run that happened elsewhere, as an importer yields it; becomes a bundle like any other.

    Attributes:
        origin_id: the run's id in its source; with the importer's kind and the content it makes the import
            idempotent.
        experiment, backend: how it will be listed; e.g. experiment `import:serving`, backend `recorded`.
        config: its configuration in our names, nested (`{"model": {"name": …}, "backend": {…}}`).
        result: metrics, tables, facts and checks. Without a check the run counts as unchecked.
        content: digest of all that the source says of the run: two runs of one id in two files are the same only if
            they say the same. "" where the id alone tells runs apart.
        notes: messages to the user, one line each (what was not understood, what was left out).
        complete: False for what breaks off or was still being written: such a run is failed, whatever it says, and
            does not stand in the way of the complete one.
        begin: what recordings of this run have in common from their first moment on (ids, times of the start): an
            incomplete one is replaced by its complete successor, or by a longer incomplete one. "" if nothing does.
        extent: how far the recording goes, in units of its own (events); of two incomplete ones the longer counts.
        detail: of two complete recordings of one `begin`, the one with more detail counts (two exports of one run);
            0: they are two runs.
    """

    origin_id: str
    experiment: str
    backend: str
    config: Mapping[str, Any]
    result: Result
    content: str = ""
    notes: Sequence[str] = ()
    complete: bool = True
    begin: str = ""
    extent: int = 0
    detail: int = 0


@dataclass(frozen=True)
class ImportedTable:
    """Runs that happened elsewhere, by the thousand: one row each, in columns; they become one recording.

    Attributes:
        origin_ids: each run's id in its source; with the importer's kind it makes the import idempotent.
        experiment, backend: how they will be listed.
        params: configuration in our dotted names, an array of one value a run; null is a missing value.
        metrics: scalar outcomes by name, in the same way.
        units: of the metrics.
        facts: what else the source says of each run, in the same way.
        notes: messages to the user, one line each (duplicates counted, values treated as missing).
    """

    origin_ids: Sequence[str]
    experiment: str
    backend: str
    params: Mapping[str, pa.Array]
    metrics: Mapping[str, pa.Array]
    units: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, pa.Array] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Importer:
    """Brings recorded runs of one kind into the store: `import KIND FILE`.

    Attributes:
        kind: the word on the command line.
        description: one line for `--help`.
        read: generator over the runs of a file, one by one or in tables of many; raises `InputError` naming file
            and row.
        recognises: says in words what a file is (`JSON of vllm bench serve`), or None for one of another kind; for
            `import FILE`. By content, never by name. None: files of this kind are imported by naming the kind.
        options: names that `read` takes as further keywords; `import FILE NAME=TEXT` gives them.
        folders: whether a folder of several files can be one recording, or which folders can; it is recognised by the
            first of its files.
        otherwise: of a file that no importer recognises: what it is, and where it belongs (`is a trace: …`).
    """

    kind: str
    description: str
    read: Callable[..., Iterator[ImportedRun | ImportedTable]]
    recognises: Callable[[FileHead], str | None] | None = None
    folders: bool | Callable[[Path], bool] = False
    options: Sequence[str] = ()
    otherwise: Callable[[FileHead], str | None] | None = None
