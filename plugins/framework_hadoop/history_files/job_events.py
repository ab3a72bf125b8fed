"""Events of a MapReduce job's history, whatever its form: Avro in JSON or binary, Hadoop 1, or printed as JSON.

An Avro history is the word `Avro-Json` or `Avro-Binary`, the schema, then events. In JSON a value of a union type is
wrapped in an object whose only key is its type (`{"string": "x"}`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from framework.errors import InputError
from framework.input_files.opening import content_to_its_end
from framework_hadoop.history_files.avro_values import AvroReader, BreaksOffError, DamagedError
from framework_hadoop.history_files.hadoop1_lines import hadoop1_events, is_hadoop1
from framework_hadoop.history_files.printed_history import printed_events

Event = tuple[int, str, dict[str, Any]]

_UNION_TYPES = frozenset({"string", "int", "long", "double", "boolean", "array", "map"})
_JSON, _BINARY = "Avro-Json", "Avro-Binary"


def job_events(file: Path) -> Iterator[Event]:
    """Yield (line or number of the event, kind, its fields); an event that breaks off at the end is left out.

    Raises:
        InputError: not a history, or an event in it that can't be read; names file and line.
    """
    data = content_to_its_end(file)
    first, _, rest = data.partition(b"\n")
    if first.strip() == _BINARY.encode():
        yield from _binary_events(file, rest)
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not a job history: {error}") from None
    if first.decode(errors="replace").strip("\ufeff\r ") == _JSON:
        yield from _json_events(file, text.splitlines())
    elif is_hadoop1(text):
        yield from _hadoop1(file, text)
    elif text.lstrip().startswith("{"):
        yield from _printed(file, text)
    else:
        raise InputError(
            f"{file}: line 1: not a job history, which begins with '{_JSON}' or '{_BINARY}' (Hadoop 2 and 3), "
            "'Meta VERSION' (Hadoop 1), or is printed by `mapred job -history … -format json`"
        )


def _json_events(file: Path, lines: list[str]) -> Iterator[Event]:
    for number, line in enumerate(lines[2:], start=3):
        if not line.strip():
            continue
        try:
            outer = json.loads(line)
            ((_, event),) = outer["event"].items()
            yield number, str(outer["type"]), {key: _unwrapped(value) for key, value in event.items()}
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            if not any(rest.strip() for rest in lines[number:]):
                return  # a history that was being written: everything before is good
            raise InputError(f"{file}: line {number}: not a history event") from error


def _unwrapped(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        name, inner = next(iter(value.items()))
        if name in _UNION_TYPES or name.startswith("org.apache.hadoop."):
            return inner
    return value


def _binary_events(file: Path, rest: bytes) -> Iterator[Event]:
    schema, _, data = rest.partition(b"\n")
    number = 0
    try:
        reader = AvroReader(schema.decode(errors="replace"), data)
        while not reader.at_end:
            number += 1
            outer = reader.value()
            if not isinstance(outer, dict) or not {"type", "event"} <= set(outer):
                raise DamagedError("its schema is not that of a job history")
            yield number, str(outer["type"]), dict(outer["event"])
    except BreaksOffError:
        return
    except (DamagedError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{file}: event {number} is damaged: {error}") from None


def _hadoop1(file: Path, text: str) -> Iterator[Event]:
    try:
        yield from hadoop1_events(text)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None
    except KeyError as error:
        raise InputError(f"{file}: a job or an attempt ended as {error}, which is not known") from None


def _printed(file: Path, text: str) -> Iterator[Event]:
    try:
        job = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: is not JSON, or breaks off: {error}") from None
    try:
        if "hadoopJob" not in job:
            raise InputError(f"{file}: no field 'hadoopJob': not printed by `mapred job -history`")
        if isinstance(job["hadoopJob"], dict):  # the same, one level down
            job = _flat(job["hadoopJob"])
        yield from printed_events(job)
    except KeyError as error:
        raise InputError(f"{file}: no field {error}: not printed by `mapred job -history`") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{file}: not printed by `mapred job -history`: {error}") from None


def _flat(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job whose times have the names without `At`, as some printers write it."""
    ours = {"hadoopJobId": "hadoopJob", "submitted": "submittedAt", "launched": "launchedAt"}
    return {(ours | {"finished": "finishedAt"}).get(name, name): value for name, value in job.items()}
