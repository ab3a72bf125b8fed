"""A run record as JSON and back, and nested values as flat named leaves."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from framework.contracts import Json, Metric, SanityCheck
from framework.errors import StoreError
from framework.run_record import Failure, RunRecord

_RECORD_FIELDS = {field.name: field for field in dataclasses.fields(RunRecord)}
_PART_FIELDS = {
    kind: {field.name for field in dataclasses.fields(kind)} for kind in (Metric, SanityCheck, Failure)
}
_REQUIRED = ("run_id", "run_key", "experiment", "backend", "status", "started_at")
_OPTIONAL_TEXT = ("finished_at", "job_key", "sweep_id", "workload_hash")
_NAMES, _UNNAMED = ("experiment", "backend"), "unknown"
_SANITY = (None, "pass", "warn", "fail")


def plain(value: Any) -> Json:
    """Return a value as strict JSON: numbers that JSON lacks become the text `nan`, `inf` or `-inf`."""
    if isinstance(value, str):  # file names may hold lone surrogates, which UTF-8 does not
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy
        return plain(value.tolist())
    return str(value)


def canonical(value: Json) -> bytes:
    """Return the one byte sequence that represents a JSON value, to take a checksum of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def checksum(value: Json) -> str:
    """Return the SHA-256 of a JSON value's canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()


def finite_metric(metric: Metric) -> Metric:
    """Return a metric whose value is a number or absent with a reason: NaN and infinity are not measurements."""
    if metric.value is None or math.isfinite(metric.value):
        return metric
    return dataclasses.replace(
        metric, value=None, reason=metric.reason or f"not a finite number ({metric.value})"
    )


def record_to_json(record: RunRecord) -> dict[str, Json]:
    """Return the record as a JSON object; keys are the fields of `RunRecord`."""
    clean = dataclasses.replace(record, metrics=[finite_metric(metric) for metric in record.metrics])
    shallow = {name: getattr(clean, name) for name in _RECORD_FIELDS}
    for name in _NAMES:  # what can't be read back must not be written: a run without a name is still a run
        shallow[name] = plain(str(shallow[name] or "")) or _UNNAMED
    shallow["metrics"] = [vars(metric) for metric in clean.metrics]
    shallow["checks"] = [vars(check) for check in clean.checks]
    shallow["failure"] = vars(clean.failure) if clean.failure else None
    document: dict[str, Json] = plain(shallow)
    return document


def part_from_json(kind: type[Any], item: Json, where: str) -> Any:
    """Return a metric, a check or a failure from its JSON object; keys of a later version are ignored.

    Raises `StoreError` naming `where`.
    """
    if not isinstance(item, dict):
        raise StoreError(f"{where} is not an object")
    names = _PART_FIELDS[kind]
    try:
        return kind(**{key: value for key, value in item.items() if key in names})
    except TypeError as error:
        raise StoreError(f"{where}: {str(error).split('__init__() ')[-1]}") from error


def _checked(document: Mapping[str, Json], where: str) -> None:
    for name in _REQUIRED:
        if not isinstance(document.get(name), str) or not document[name]:
            raise StoreError(f"{where}: key '{name}' is missing or not a text")
    for name in _OPTIONAL_TEXT:
        if not isinstance(document.get(name), (str, type(None))):
            raise StoreError(f"{where}: key '{name}' is not a text")
    for name in ("started_at", "finished_at"):
        try:
            datetime.fromisoformat(document.get(name) or "2000-01-01")
        except ValueError:
            raise StoreError(f"{where}: '{name}' is not an ISO 8601 time: {document[name]!r}") from None
    for name in ("config", "facts", "provenance", "artifact_notes"):
        if not isinstance(document.get(name, {}), dict):
            raise StoreError(f"{where}: key '{name}' is not an object")
    for name in ("metrics", "checks", "varied"):
        if not isinstance(document.get(name, []), list):
            raise StoreError(f"{where}: key '{name}' is not a list")
    for name in ("repeat", "seed", "sweep_index"):
        if not isinstance(document.get(name, 0), (int, type(None))):
            raise StoreError(f"{where}: key '{name}' is not a whole number")
    if document.get("sanity") not in _SANITY:
        raise StoreError(f"{where}: sanity {document['sanity']!r} is not pass, warn or fail")
    if document["status"] not in ("running", "done", "failed", "stale"):
        raise StoreError(f"{where}: status {document['status']!r} is not running, done, failed or stale")


def record_from_json(document: Json, where: str) -> RunRecord:
    """Return the record that a JSON object describes. Raises `StoreError` naming `where` and the key."""
    if not isinstance(document, dict):
        raise StoreError(f"{where}: the run record is not an object")
    _checked(document, where)
    fields = {key: value for key, value in document.items() if key in _RECORD_FIELDS}
    fields["metrics"] = tuple(
        part_from_json(Metric, item, f"{where}: a metric") for item in fields.get("metrics", ())
    )
    fields["checks"] = tuple(
        part_from_json(SanityCheck, item, f"{where}: a check") for item in fields.get("checks", ())
    )
    fields["varied"] = tuple(fields.get("varied", ()))
    if fields.get("failure") is not None:
        fields["failure"] = part_from_json(Failure, fields["failure"], f"{where}: the failure")
    return RunRecord(**fields)


def leaves(nested: Mapping[str, Json], prefix: str = "") -> Iterator[tuple[str, Json]]:
    """Yield (dotted name, value) for every leaf of a nested mapping; a list is one leaf, `{}` is a leaf too."""
    for key, value in nested.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def leaf_text(value: Json) -> str | None:
    """Return a leaf as text: JSON for lists, `true`/`false` for booleans, None for an explicit null."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(plain(value), ensure_ascii=False)


def leaf_number(value: Json) -> float | None:
    """Return a leaf as a number where it is one, `"inf"` included; booleans and other texts are not numbers."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return None
    return float(value) if isinstance(value, str) and value in ("inf", "-inf", "nan") else None


def stored_value(text: str | None) -> Json:
    """Return a stored parameter as the value it was: JSON where it is, else text."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def nested(params: Mapping[str, str | None]) -> dict[str, Any]:
    """Return dotted name → text, as the table `params` has it, as a nested configuration with typed values.

    The opposite of `leaves` and `leaf_text`.
    """
    config: dict[str, Any] = {}
    for name, text in params.items():
        *above, last = name.split(".")
        node = config
        for part in above:
            node = node.setdefault(part, {})
        node[last] = stored_value(text)
    return config
