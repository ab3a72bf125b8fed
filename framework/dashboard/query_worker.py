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
import sys
import threading
from pathlib import Path
from typing import Any

from framework.dashboard.frames_of_bytes import ERROR, READY, ROWS, read_frame, write_frame
from framework.errors import StoreError, UserError, one_line
from framework.store.database.query_limits import QueryLimits, memory_limit
from framework.store.database.reader import Store

_A_BATCH = 500


def main(outputs: str, timeout_s: str, memory_gib: str) -> None:
    """Answer queries until standard input closes."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else that prints gets between the answers
    limits = QueryLimits(float(timeout_s), float(memory_gib))
    store = Store(Path(outputs), limits)
    import pyarrow  # noqa: F401

    waiting: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read_requests, args=(waiting,), daemon=True).start()
    with memory_limit(limits.memory):
        write_frame(answers, READY, b"")
        while True:
            write_frame(answers, *_answer(store, limits, json.loads(waiting.get())))


def _answer(store: Store, limits: QueryLimits, request: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return the rows that are asked for, or why there are none, as a message."""
    try:
        return ROWS, _rows(store, **request)
    except MemoryError:
        message = limits.out_of_memory
    except UserError as error:
        message = one_line(error)
    except Exception as error:  # whatever DuckDB and Arrow have for what they can't do
        message = limits.out_of_memory if "alloc" in str(error).lower() else f"SQL: {one_line(error)}"
    return ERROR, message.encode("utf-8", "backslashreplace")


def _read_requests(waiting: queue.Queue[bytes]) -> None:
    requests = os.fdopen(0, "rb")
    while (found := read_frame(requests)) is not None:
        waiting.put(found[1])
    os._exit(0)  # the server has ended, whatever is being computed


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
