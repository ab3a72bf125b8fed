"""A person's SQL from the server's side: a process that is started when it is needed and killed when it overstays."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from framework.dashboard.address import RefusedError
from framework.dashboard.frames_of_bytes import ERROR, read_frame_until, write_frame
from framework.errors import StoreError
from framework.store.database.query_limits import QueryLimits

if TYPE_CHECKING:
    import pyarrow as pa

_START_S = 60.0
_GRACE_S = 1.0
"""What a query gets beyond its time before its process is killed: DuckDB may still be ending it."""
_WAIT_FOR_TURN_S = 5.0


class QueryProcess:
    """One query at a time, in a process with a limit of memory. Safe to share between threads."""

    def __init__(self, outputs: Path, limits: QueryLimits) -> None:
        self.outputs, self.limits = outputs, limits
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def rows(self, sql: str, most_rows: int, most_bytes: int) -> pa.Table:
        """Return the rows of one SELECT, the first `most_rows` (0: all).

        Raises:
            StoreError: it is refused, fails, or reaches a limit; one line.
            RefusedError: another query is being carried out.
        """
        import pyarrow as pa

        request = {"sql": sql, "most_rows": most_rows, "most_bytes": most_bytes}
        if not self._turn.acquire(timeout=_WAIT_FOR_TURN_S):
            raise RefusedError("another query is running; try again when it has ended", 503)
        try:
            kind, content = self._ask(json.dumps(request).encode())
        finally:
            self._turn.release()
        if kind == ERROR:
            raise StoreError(self._in_words(content.decode("utf-8", "replace")))
        return pa.ipc.open_stream(content).read_all()

    def _ask(self, request: bytes) -> tuple[bytes, bytes]:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            write_frame(process.stdin, b"Q", request)
            return read_frame_until(
                process.stdout.fileno(), time.monotonic() + self.limits.timeout_s + _GRACE_S
            )
        except TimeoutError:
            self._end()
            raise StoreError(self._in_words(self.limits.out_of_time)) from None
        except (
            EOFError,
            BrokenPipeError,
        ):  # the system refused it memory where no error could be made of that
            self._end()
            raise StoreError(self._in_words(self.limits.out_of_memory)) from None
        except BaseException:
            self._end()
            raise

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            limits = [str(self.limits.timeout_s), str(self.limits.memory)]
            self._folder = tempfile.TemporaryDirectory(
                prefix="framework-sql-"
            )  # what DuckDB writes meanwhile
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "framework.dashboard.query_worker",
                    str(self.outputs.absolute()),
                    *limits,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the server, which ends it
                cwd=self._folder.name,
            )
            assert self._process.stdout is not None
            try:
                read_frame_until(self._process.stdout.fileno(), time.monotonic() + _START_S)
            except (TimeoutError, EOFError):
                self._end()
                raise StoreError("the process for queries does not start") from None
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            self._folder.cleanup()

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._end()

    def _in_words(self, message: str) -> str:
        """Return a message without the options of the verb `sql`: the server has its own."""
        limits = self.limits
        return message.replace(limits.out_of_time, f"SQL: stopped after {limits.timeout_s:g} s").replace(
            limits.out_of_memory, f"SQL: needs more than {limits.memory:g} GiB of memory"
        )
