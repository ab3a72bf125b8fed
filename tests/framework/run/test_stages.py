"""What kind of failure an exception is."""

from __future__ import annotations

import errno
import os

import pyarrow as pa
import pytest

from framework.errors import StoreError, TimeLimitError
from framework.run.stages import failure_kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "out_of_memory"),
        (pa.ArrowMemoryError("malloc of size 64 failed"), "out_of_memory"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "out_of_memory"),
        (ImportError("mmap.so: failed to map segment from shared object"), "out_of_memory"),
        (ImportError("no module 'x'"), "ImportError"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "OSError"),
        (TimeLimitError("the time limit is reached"), "timeout"),
    ],
)
def test_memory_that_is_refused_is_one_kind_in_whatever_words(error: Exception, kind: str) -> None:
    assert failure_kind(error) == kind


def test_a_bundle_that_memory_was_refused_for_is_of_that_kind() -> None:
    error = StoreError("run 1: malloc of size 64 failed")
    assert failure_kind(error) == "StoreError"
    error.__cause__ = pa.ArrowMemoryError("malloc of size 64 failed")
    assert failure_kind(error) == "out_of_memory"
