"""What points found to be missing (an interpreter, a model): `outputs/sweeps/<sweep_id>.missing/`.

A point that comes upon it leaves word, in whatever process or job it runs; points that need the same are not started.
"""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from framework.errors import StoreError
from framework.identity.run_key import canonical_hash
from framework.run_record import RunOutcome
from framework.store.durable import store_errors, write_whole
from framework.store.layout import sweeps_folder


@dataclass(frozen=True)
class Missing:
    """Something that a machine lacks.

    Attributes:
        keys: groups and keys of the configuration on which it depends.
        overrides: those of the point that found it that concern these keys, in order.
        reason: one line.
        host: the machine.
    """

    keys: Sequence[str]
    overrides: Sequence[str]
    reason: str
    host: str


class MissingThings:
    """What a sweep's points have found to be missing since its launcher began."""

    def __init__(self, outputs: Path | str, sweep_id: str) -> None:
        self.folder = sweeps_folder(outputs) / f"{sweep_id}.missing"

    def forget(self) -> None:
        """Let every point try again: what was missing may be there now."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def learn(self, overrides: Iterable[str], outcome: RunOutcome) -> None:
        """Remember a failure that others share."""
        if outcome.holds_for is None or outcome.failure is None:
            return
        keys = tuple(outcome.holds_for)
        found = Missing(keys, sorted(_needed(overrides, keys)), outcome.failure.message, socket.gethostname())
        plain = asdict(found)
        with suppress(StoreError):  # a full disk: the others find it themselves
            write_whole(self.folder / f"{canonical_hash(plain)}.json", json.dumps(plain).encode())

    def known(self) -> list[Missing]:
        """Return what is missing. Raises `StoreError`."""
        found = []
        for file in sorted(self.folder.glob("[!.]*.json")):
            with store_errors("read", file), suppress(FileNotFoundError):  # forgotten this moment
                found.append(Missing(**json.loads(file.read_text())))
        return found

    def cannot_run(self, overrides: Iterable[str]) -> bool:
        """Return whether a point needs what another one lacked: on this machine, or on several others.

        One machine of a cluster that lacks it says nothing about the rest.
        """
        overrides = list(overrides)
        lacking = {item.host for item in self.known() if _needed(overrides, item.keys) == {*item.overrides}}
        return socket.gethostname() in lacking or len(lacking) > 1


def _needed(overrides: Iterable[str], keys: Sequence[str]) -> set[str]:
    """Return the overrides of groups and keys: of these, of what is in them and of what they are in."""
    found = set()
    for override in overrides:
        name = override.lstrip("+~").partition("=")[0]
        if any(f"{key}.".startswith(f"{name}.") or f"{name}.".startswith(f"{key}.") for key in keys):
            found.add(override)
    return found
