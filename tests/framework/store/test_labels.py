"""What people say of runs, whatever the clock says."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from framework.store.side_files import labels
from framework.store.side_files.labels import label_rows, write_labels

JUMPS = st.lists(st.integers(-10_000_000, 10_000_000), min_size=1, max_size=8)


@settings(max_examples=30)
@given(JUMPS)
def test_what_is_said_last_holds_however_the_clock_jumps(jumps: list[int]) -> None:
    now = datetime.now(labels.UTC)
    with tempfile.TemporaryDirectory() as outputs, patch.object(labels, "datetime", wraps=datetime) as clock:
        for number, jump in enumerate(jumps):
            now += timedelta(seconds=jump)
            clock.now.return_value = now
            write_labels(outputs, ["run-1"], "note", str(number))
        rows = [
            row
            for file in Path(outputs, "labels").iterdir()
            for row in label_rows(file.read_bytes(), file.name, file.stem).to_pylist()
        ]
    rows.sort(key=lambda row: (row["labelled_at"], row["label_set"]))
    assert [row["value"] for row in rows] == [str(number) for number in range(len(jumps))]
