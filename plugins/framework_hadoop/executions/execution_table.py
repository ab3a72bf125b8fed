"""Executions of data-engine benchmarks as one table with our names: its columns, and what makes a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["number", "name", "text"]


@dataclass(frozen=True)
class ExecutionColumn:
    """One column.

    Attributes:
        name: ours; of a column that is not ALOJA's with its group (`backend.executor_memory_gb`).
        source: ALOJA's headings, the first one present counts.
        kind: a positive number; a name (case does not matter); or text as it is.
        group: where it is in a run's configuration; "" for what is not a configuration.
    """

    name: str
    source: tuple[str, ...]
    kind: Kind
    group: str = ""


COLUMNS = (
    ExecutionColumn("execution_id", ("ID", "id_exec"), "text"),
    ExecutionColumn("exe_time_s", ("Exe.Time",), "number"),
    ExecutionColumn("benchmark", ("Benchmark", "bench"), "name", "workload"),
    ExecutionColumn("suite", ("Bench.Type",), "text", "workload"),
    ExecutionColumn("network", ("Net",), "name", "cluster"),
    ExecutionColumn("disk", ("Disk",), "name", "cluster"),
    ExecutionColumn("map_slots", ("Maps",), "number", "backend"),
    ExecutionColumn("io_sort_factor", ("IO.SFac", "iosf"), "number", "backend"),
    ExecutionColumn("replication", ("Rep", "replication"), "number", "backend"),
    ExecutionColumn("io_file_buffer_bytes", ("IO.FBuf", "iofilebuf"), "number", "backend"),
    ExecutionColumn("codec", ("Comp", "compression"), "name", "backend"),
    ExecutionColumn("block_size_mb", ("Blk.size",), "number", "backend"),
    ExecutionColumn("cluster", ("Cl.Name", "Cluster", "id_cluster"), "text", "cluster"),
    ExecutionColumn("data_nodes", ("Datanodes",), "number", "cluster"),
    ExecutionColumn("head_nodes", ("Headnodes",), "number", "cluster"),
    ExecutionColumn("vm_os", ("VM.OS",), "name", "cluster"),
    ExecutionColumn("cores_per_node", ("VM.Cores",), "number", "cluster"),
    ExecutionColumn("memory_per_node_gb", ("VM.RAM",), "number", "cluster"),
    ExecutionColumn("provider", ("Provider",), "name", "cluster"),
    ExecutionColumn("vm_size", ("VM.Size",), "text", "cluster"),
    ExecutionColumn("service_type", ("Service.Type", "Type"), "name", "cluster"),
)
SIZES = (
    ExecutionColumn("workload.data_size_bytes", ("Datasize",), "number", "workload"),
    ExecutionColumn("workload.scale_factor", ("Scale.Factor",), "name", "workload"),
    ExecutionColumn("backend.hadoop_version", ("Hadoop.Version",), "name", "backend"),
)
"""Columns that only some of ALOJA's exports have; where they are, they count like the user's own."""

OUTCOMES = (
    "Running.Cost",
    "End.time",
    "Start.time",
    "outlier",
    "valid",
    "filter",
    "perf_details",
    "zabbix_link",
    "exec",
    "Histogram",
    "Counters",
    "run_num",
)
"""Columns of ALOJA's that describe an execution but configure nothing: they are facts."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)")

BY_NAME = {column.name: column for column in COLUMNS}
CONFIGURATION = tuple(column.name for column in COLUMNS if column.group)


@dataclass(frozen=True)
class OddCell:
    """A cell without a valid value of its column. `row` counts from 1, without the header."""

    row: int
    column: str
    text: str

    def __str__(self) -> str:
        return f"row {self.row}: column '{self.column}' holds {self.text!r}"


@dataclass(frozen=True)
class Executions:
    """Executions, one row each, in file order.

    Attributes:
        columns: by our names; numbers as float64 with NaN for missing, texts as objects with None.
        source: the file, or where else they come from.
        odd: cells without a valid value of their column (they are missing in `columns`).
        absent: our names of the columns that the file lacks.
        own: columns that are not ALOJA's, by our name: the user's own settings, which count like the others.
        facts: what is no setting, by its heading, as text.
        notes: what was made of the file's columns, one line each.
    """

    columns: Mapping[str, np.ndarray]
    source: str
    odd: Sequence[OddCell] = field(default_factory=tuple)
    absent: Sequence[str] = field(default_factory=tuple)
    own: Mapping[str, ExecutionColumn] = field(default_factory=dict)
    facts: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def configuration(self) -> tuple[str, ...]:
        """Names of the columns that make a configuration, the user's own included."""
        return (*CONFIGURATION, *self.own)

    def like(self, other: Executions) -> Executions:
        """Return these executions with the own columns of other ones: one that lacks here is missing in each row."""
        if self.own.keys() == other.own.keys():
            return self
        columns = {name: values for name, values in self.columns.items() if name not in self.own}
        for name, column in other.own.items():
            same = name in self.own and self.own[name].kind == column.kind
            columns[name] = self.columns[name] if same else empty_column(column.kind, len(self))
        return replace(self, columns=columns, own=other.own)

    def __len__(self) -> int:
        return len(self.columns["benchmark"])

    def rows(self, index: np.ndarray) -> Executions:
        """Return the rows that an index or mask selects."""
        columns = {name: values[index] for name, values in self.columns.items()}
        facts = {name: values[index] for name, values in self.facts.items()}
        return Executions(columns, self.source, own=self.own, facts=facts, notes=self.notes)

    @property
    def time_s(self) -> np.ndarray:
        """Execution time in seconds; NaN where there is none."""
        return self.columns["exe_time_s"]

    @property
    def days(self) -> list[str | None]:
        """The day on which each execution ran, as YYYY-MM-DD, by its `Start.time` or `End.time`; None: not known."""
        days: list[str | None] = [None] * len(self)
        by_name = {plain_heading(heading): texts for heading, texts in self.facts.items()}
        for name in ("endtime", "starttime"):
            for row, text in enumerate(by_name.get(name, ())):
                day = _DAY.match(str(text or ""))
                days[row] = day[0] if day else days[row]
        return days

    @property
    def finished(self) -> np.ndarray:
        """Mask of the rows with a time."""
        finished: np.ndarray = np.isfinite(self.time_s)
        return finished


def plain_heading(heading: str) -> str:
    """Return a heading without what its spellings differ in (`Exe.Time`, `exe_time`)."""
    return re.sub(r"[^a-z0-9]", "", heading.lower())


def empty_column(kind: Kind, rows: int) -> np.ndarray:
    """Return a column in which every value is missing."""
    return np.full(rows, np.nan) if kind == "number" else np.full(rows, None, dtype=object)


def to_arrow(executions: Executions) -> pa.Table:
    """Return the columns as an Arrow table; missing values are null."""
    import pyarrow as pa

    kinds = {"number": pa.float64(), "name": pa.string(), "text": pa.string()}
    known = {**BY_NAME, **executions.own}
    return pa.table(
        {
            name: pa.array(values, kinds[known[name].kind], from_pandas=True)
            for name, values in executions.columns.items()
        }
    )


def from_arrow(table: pa.Table, source: str = "table") -> Executions:
    """Return executions from a table with our columns; one that is absent is missing in every row.

    A column with a dotted name (`backend.executors`) is one of the user's own.
    """
    import pyarrow as pa

    columns = {}
    own = {
        name: ExecutionColumn(
            name,
            (name,),
            "number" if pa.types.is_floating(table.schema.field(name).type) else "name",
            name.partition(".")[0],
        )
        for name in table.column_names
        if "." in name
    }
    for column in (*COLUMNS, *own.values()):
        if column.name not in table.column_names:
            columns[column.name] = empty_column(column.kind, table.num_rows)
        elif column.kind == "number":
            numbers = table.column(column.name).to_numpy(zero_copy_only=False)
            columns[column.name] = np.asarray(numbers, dtype=np.float64)
        else:
            columns[column.name] = np.array(table.column(column.name).to_pylist(), dtype=object)
    return Executions(columns, source, own=own)
