"""What people say of runs after the fact: tags, notes, another experiment's name, whether a run is put aside.

outputs/labels/<time>-<hex>.json holds what was said at once. Files are never changed: what was said last counts, and
a database that is built again from the files says the same.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from framework.contracts import Json
from framework.errors import StoreError
from framework.store.bundles.record_json import checksum
from framework.store.database.schema import LABELS
from framework.store.durable import write_whole

FORMAT = "framework-labels"
_STAMP = "%Y%m%dT%H%M%S%f"
LabelKind = Literal["tag", "untag", "note", "experiment", "archived"]
KINDS: tuple[LabelKind, ...] = ("tag", "untag", "note", "experiment", "archived")


def write_labels(outputs: Path | str, run_ids: Sequence[str], kind: LabelKind, value: str) -> Path:
    """Keep one thing that is said of several runs, and return its file. Raises `StoreError`.

    Args:
        outputs: the outputs folder.
        run_ids: the runs.
        kind: `tag` and `untag` add and remove a word; `experiment` is the name under which they are listed;
            `archived` is `true` or `false`.
        value: the word, note or name.
    """
    folder = Path(outputs) / "labels"
    at = _next_moment(folder)
    document: dict[str, Json] = {
        "format": FORMAT,
        "at": at.isoformat(timespec="microseconds"),
        "kind": kind,
        "value": value,
        "run_ids": list(run_ids),
    }
    document["checksum"] = checksum(document)
    file = folder / f"{at:{_STAMP}}-{secrets.token_hex(4)}.json"
    write_whole(file, json.dumps(document).encode("utf-8"))
    return file


def _next_moment(folder: Path) -> datetime:
    """Return the time, but later than all labels there: what is said last holds, also with a clock set back."""
    newest = max((file.name for file in folder.glob("[!.]*.json")), default="")
    now = datetime.now(UTC)
    try:
        said = datetime.strptime(newest.partition("-")[0], _STAMP).replace(tzinfo=UTC)
    except ValueError:  # none yet, or of a name of somebody's own
        return now
    return max(now, said + timedelta(microseconds=1))


def label_rows(data: bytes, where: str, name: str) -> pa.Table:
    """Return the rows of table `labels` in a file. Raises `StoreError` naming the file."""
    try:
        document: Any = json.loads(data)
    except ValueError:
        raise StoreError(f"{where} is not JSON (truncated?)") from None
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        raise StoreError(f"{where} contains no labels of this framework")
    body = {key: value for key, value in document.items() if key != "checksum"}
    if document.get("checksum") != checksum(body):
        raise StoreError(f"{where} does not match its checksum")
    try:
        at = datetime.fromisoformat(body["at"]).astimezone(UTC).replace(tzinfo=None)
        rows = [
            {
                "run_id": str(run_id),
                "kind": body["kind"],
                "value": body["value"],
                "labelled_at": at,
                "label_set": name,
            }
            for run_id in body["run_ids"]
        ]
        return pa.Table.from_pylist(rows, schema=LABELS)
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise StoreError(f"{where} contains something that is not a label ({error})") from None
