"""Values in Avro's binary encoding, read by the schema that was written before them.

Avro specification 1.11, "Binary Encoding": integers are zigzag numbers in groups of seven bits, texts and bytes a
length and their content, arrays and maps blocks of a count and items that end with a count of 0, a union the place
of its branch and the value, an enumeration the place of its symbol.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

_MOST = 1 << 31


class DamagedError(Exception):
    """What stands there is no value of the schema; the text says why."""


class BreaksOffError(Exception):
    """The values end within one."""


class AvroReader:
    """Reads values one after the other.

    Args:
        schema: as JSON.
        data: what was written by it.

    Raises `DamagedError` for what is no schema.
    """

    def __init__(self, schema: str, data: bytes) -> None:
        self._names: dict[str, Any] = {}
        try:
            self._schema = json.loads(schema)
        except (ValueError, RecursionError) as error:
            raise DamagedError(f"its schema is not JSON: {error}") from None
        self._collect(self._schema, "")
        self._data, self.place = data, 0

    def _collect(self, schema: Any, space: str) -> None:
        """Remember named types, which later parts of the schema only name."""
        if isinstance(schema, list):
            for branch in schema:
                self._collect(branch, space)
        elif isinstance(schema, dict):
            space = str(schema.get("namespace", space))
            if "name" in schema and schema.get("type") in ("record", "enum", "fixed"):
                self._names[str(schema["name"])] = schema
                self._names[f"{space}.{schema['name']}"] = schema
            for part in (schema.get("items"), schema.get("values"), schema.get("type")):
                if isinstance(part, dict | list):
                    self._collect(part, space)
            for item in schema.get("fields") or ():
                self._collect(item.get("type"), space)

    @property
    def at_end(self) -> bool:
        """Whether everything was read."""
        return self.place >= len(self._data)

    def value(self) -> Any:
        """Return the next value; a union's is that of its branch.

        Raises:
            BreaksOffError: the data end within it.
            DamagedError: it is none of the schema.
        """
        try:
            return self._read(self._schema)
        except (KeyError, IndexError, TypeError, RecursionError, UnicodeDecodeError) as error:
            raise DamagedError(f"no value of its schema: {error}") from None

    def _read(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return self._read(schema[self._index(len(schema), "branch")])
        if isinstance(schema, dict):
            kind = schema["type"]
            if kind == "record":
                return {item["name"]: self._read(item["type"]) for item in schema["fields"]}
            if kind == "enum":
                return schema["symbols"][self._index(len(schema["symbols"]), "symbol")]
            if kind in ("array", "map"):
                return self._items(schema, kind)
            if kind == "fixed":
                return self._take(int(schema["size"]))
            return self._read(kind)
        return self._plain(schema)

    def _plain(self, kind: str) -> Any:
        if kind in ("int", "long"):
            return self._whole()
        if kind in ("string", "bytes"):
            found = self._take(self._length())
            return found.decode() if kind == "string" else found
        if kind == "boolean":
            (byte,) = self._take(1)
            if byte > 1:
                raise DamagedError(f"{byte} is neither true nor false")
            return bool(byte)
        if kind in ("float", "double"):
            form = "<f" if kind == "float" else "<d"
            return struct.unpack(form, self._take(struct.calcsize(form)))[0]
        if kind == "null":
            return None
        return self._read(self._names[kind])

    def _items(self, schema: Mapping[str, Any], kind: str) -> Any:
        found: list[Any] = []
        named: dict[str, Any] = {}
        while count := self._whole():
            if count < 0:  # a block that also tells its length in bytes
                self._length()
            for _ in range(min(abs(count), _MOST)):
                if kind == "map":
                    name = self._plain("string")
                    named[name] = self._read(schema["values"])
                else:
                    found.append(self._read(schema["items"]))
        return named if kind == "map" else found

    def _index(self, count: int, what: str) -> int:
        found = self._whole()
        if not 0 <= found < count:
            raise DamagedError(f"{what} {found} of {count}")
        return found

    def _length(self) -> int:
        found = self._whole()
        if found < 0:
            raise DamagedError(f"a length of {found}")
        return found

    def _take(self, count: int) -> bytes:
        end = self.place + count
        if end > len(self._data):
            raise BreaksOffError
        found, self.place = self._data[self.place : end], end
        return found

    def _whole(self) -> int:
        found = shift = 0
        while True:
            if self.place >= len(self._data):
                raise BreaksOffError
            byte = self._data[self.place]
            self.place += 1
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (found >> 1) ^ -(found & 1)
            shift += 7
            if shift > 63:
                raise DamagedError("a number of more than 64 bits")
