"""The process that carries out a person's SQL.

    python -m framework.dashboard.query_worker OUTPUTS TIMEOUT_S MEMORY_GIB

DuckDB's own limit of memory does not hold for every value that an expression makes, and its interrupt does not reach
every function. So the queries have a process of their own, whose memory the system limits and which can be killed.
It reads requests from standard input and ends when that closes; answers go to standard output (`frames_of_bytes`).
"""

from __future__ import annotations

import io
import json
import os
import queue
import resource
import sys
import threading
from pathlib import Path
from typing import Any

from framework.dashboard.frames_of_bytes import ERROR, READY, ROWS, read_frame, write_frame
from framework.errors import StoreError, UserError, one_line
from framework.store.database.query_limits import QueryLimits
from framework.store.database.reader import Store

_MORE_GIB = 0.3  # for what is not DuckDB's own: rows on their way out, and temporary values
_A_BATCH = 500


def main(outputs: str, timeout_s: str, memory_gib: str) -> None:
    """Answer queries until standard input closes."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else that prints gets between the answers
    limits = QueryLimits(float(timeout_s), float(memory_gib))
    store = Store(Path(outputs), limits)
    import pyarrow  # noqa: F401

    _limit_memory(limits.memory + _MORE_GIB)
    waiting: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read_requests, args=(waiting,), daemon=True).start()
    write_frame(answers, READY, b"")
    while True:
        request = json.loads(waiting.get())
        try:
            kind, content = ROWS, _rows(store, **request)
        except MemoryError:
            kind, content = ERROR, limits.out_of_memory.encode()
        except UserError as error:
            kind, content = ERROR, one_line(error).encode("utf-8", "backslashreplace")
        except Exception as error:  # whatever DuckDB and Arrow have for what they can't do
            message = limits.out_of_memory if "alloc" in str(error).lower() else f"SQL: {one_line(error)}"
            kind, content = ERROR, message.encode("utf-8", "backslashreplace")
        write_frame(answers, kind, content)


def _read_requests(waiting: queue.Queue[bytes]) -> None:
    requests = os.fdopen(0, "rb")
    while (found := read_frame(requests)) is not None:
        waiting.put(found[1])
    os._exit(0)  # the server has ended, whatever is being computed


def _limit_memory(more_gib: float) -> None:
    used = next(
        (
            int(line.split()[1]) * 1024
            for line in Path("/proc/self/status").read_text().splitlines()
            if "VmData" in line
        ),
        0,
    )
    most = used + int(more_gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _rows(store: Store, sql: str, most_rows: int, most_bytes: int) -> bytes:
    """Return the rows as an Arrow stream: all of them if `most_rows` is 0. Raises `StoreError`."""
    import pyarrow as pa

    out = io.BytesIO()
    rows = total = 0
    with (
        store.arrow_stream(sql, batch_rows=_A_BATCH) as reader,
        pa.ipc.new_stream(out, reader.schema) as writer,
    ):
        for whole in reader:
            batch: Any = whole.slice(0, most_rows - rows) if most_rows else whole
            total += batch.get_total_buffer_size() if batch.num_rows == whole.num_rows else batch.nbytes
            if total > most_bytes:
                raise StoreError(
                    f"SQL: the rows take more than {most_bytes / 2**20:g} MiB; ask for fewer rows or columns, "
                    "or use python -m framework export"
                )
            writer.write_batch(batch)
            rows += batch.num_rows
            if most_rows and rows >= most_rows:
                break
    return out.getvalue()


if __name__ == "__main__":
    main(*sys.argv[1:])
