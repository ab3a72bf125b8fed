"""Carries a sweep out on a disk that is full at its n-th write, then once more with room; says what went wrong.

    LD_PRELOAD=full_disk.so FULL_DISK=FOLDER python full_disk.py stays|once places|all COMMAND...

`places` tries one of the writes that are the same call on the same file, but for names with a random part: every
other one of these with a disk that stays full, the rest with one that is full once. `all` tries every write (some
minutes).
One line of JSON for each n: the exit statuses, the lines of errors, the done runs of each point.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
from contextlib import closing
from pathlib import Path

from framework.cli import main
from framework.processes.warm_copy import in_warm_copy
from framework.store.bundles.sources import bundle_sources
from framework.store.database.reader import Store

disk = ctypes.CDLL(None)
disk.full_disk_place.restype = ctypes.c_char_p


def carried_out(place: Path, command: list[str], at: int, stays: bool) -> dict[str, object]:
    """Run the command in a copy of this process; return its exit status, its lines of errors and its writes."""
    said, count = (Path(os.environ["FULL_DISK"]).parent / name for name in ("said", "count"))  # have room

    def carry() -> None:
        place.mkdir(parents=True, exist_ok=True)
        os.chdir(place)
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.argv = ["framework", *command]
        disk.full_disk(at, stays)
        try:
            main()
        finally:
            writes = range(1, disk.full_disk_counted() + 1)
            count.write_text(json.dumps([disk.full_disk_place(number).decode() for number in writes]))

    status = in_warm_copy(carry, 500.0)
    lines = said.read_text().splitlines()
    said_wrong = [line for line in lines if line.startswith(("error:", "Traceback"))]
    return {"status": status, "errors": said_wrong, "writes": json.loads(count.read_text())}


def runs(place: Path) -> tuple[list[int], list[str]]:
    """Return the points with a done run, as often as it was done, and why the other runs failed."""
    records = [
        source.manifest(name).record
        for source in (bundle_sources(place / "outputs") if (place / "outputs").is_dir() else ())
        for name in source.names()
    ]
    done = sorted(record.sweep_index or 0 for record in records if record.status == "done")
    return done, [record.failure.message for record in records if record.failure is not None]


def one_of_each(writes: list[str]) -> list[int]:
    """Return the number of the last write of each place: call and file, without what is random in it."""
    places: dict[str, int] = {}
    for number, write in enumerate(writes, start=1):
        places[re.sub(r"[0-9a-f]{6,}|\d+|\w+(?=\.parquet)", "", write)] = number
    return sorted(places.values())


def run() -> None:
    stays, every, command = sys.argv[1] == "stays", sys.argv[2] == "all", sys.argv[3:]
    room = Path(os.environ["FULL_DISK"])
    carried_out(
        room.with_name("whole"), command, 0, False
    )  # the copies to come begin with what this one imports
    writes: list[str] = carried_out(room / "counted", command, 0, False)["writes"]  # type: ignore[assignment]
    numbers = range(1, len(writes) + 1) if every else one_of_each(writes)[stays::2]
    found = []
    for at in numbers:
        place = room / str(at)
        full = carried_out(place, command, at, stays)
        kept, failed = runs(place)
        again = carried_out(place, command, 0, False)
        found.append(
            {"at": at, "place": writes[at - 1], "full": full, "kept": kept, "failed": failed, "again": again}
        )
        found[-1]["done"] = runs(place)[0]
        del full["writes"], again["writes"]
    for each in found:  # no database before the last copy is made: its threads would be missing there
        with closing(Store(room / str(each["at"]) / "outputs")) as store:
            each["stored"] = store.rows("SELECT sweep_index FROM runs WHERE status = 'done' ORDER BY 1")[1]
        print(json.dumps(each))
    print(json.dumps({"writes": len(writes)}))


if __name__ == "__main__":
    run()
