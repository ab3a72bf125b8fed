"""Records and numbers by address: how compiled functions reach the simulation's tables.

All state lives in NumPy arrays that Python owns; the records `SIMULATION` and `REPLICA` hold their addresses. A
compiled function therefore takes one or two pointers, whatever it touches, which keeps both calls and compilation
cheap (Numba passes an array as seven words and compiles every function that takes it accordingly).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from framework_twin.kernel.state import QUEUE, REPLICA, REQUEST, SIMULATION

Accessor = Callable[[int, int], Any]


def record_accessor(dtype: np.dtype[Any]) -> Accessor:
    """Make a compiled function (address of an array of records, index) -> that record."""
    record = numba.from_dtype(dtype)
    size = dtype.itemsize

    def record_at(typing_context: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            base, number = arguments
            place = builder.add(base, builder.mul(number, context.get_constant(types.int64, size)))
            return builder.inttoptr(place, context.get_value_type(record))

        return record(types.int64, types.int64), generate

    accessor: Any = intrinsic(record_at)
    return cast(Accessor, accessor)


def pointer_maker(item: Any) -> Callable[[int], Any]:
    """Make a compiled function address -> pointer that can be indexed."""
    make_pointer: Any = types.CPointer
    pointer = make_pointer(item)

    def pointer_to(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(pointer))

        return pointer(types.int64), generate

    maker: Any = intrinsic(pointer_to)
    return cast(Callable[[int], Any], maker)


@intrinsic
def _read_int32(typing_context: Any, address: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        offset = builder.mul(arguments[1], context.get_constant(types.int64, 4))
        place = builder.inttoptr(builder.add(arguments[0], offset), ir.IntType(32).as_pointer())
        return builder.sext(builder.load(place), ir.IntType(64))

    return types.int64(types.int64, types.int64), generate


read_int32 = cast(Callable[[int, int], int], _read_int32)
"""Read a 32-bit number at an address and index as a 64-bit one, so that functions see a single integer type."""
int8s = pointer_maker(types.int8)
"""Read and write 8-bit numbers at an address."""
int64s = pointer_maker(types.int64)
"""Read and write 64-bit numbers at an address."""
floats = pointer_maker(types.float64)
"""Read and write 64-bit floats at an address."""

simulation_at = record_accessor(SIMULATION)
replica_at = record_accessor(REPLICA)
request_at = record_accessor(REQUEST)
queue_at = record_accessor(QUEUE)
