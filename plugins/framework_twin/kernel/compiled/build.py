"""Compile the kernel: `python -m framework_twin.kernel.compiled.build FILE` writes its machine code.

The file contains the name of the entry point, a line break and an object file for this machine's processor. The entry
point is a C function `int entry(int64 *result, void **exception, int64 address of the SIMULATION record)` that
returns 0 unless it failed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def build(target: Path) -> None:
    """Compile the kernel and write it to a file, all or nothing."""
    from framework_twin.kernel.compiled.jit import start_building

    start_building()
    from numba import types

    from framework_twin.kernel import router

    dispatcher: Any = router.run_replicas
    dispatcher.compile((types.int64,))
    (compiled,) = dispatcher.overloads.values()
    _, _, (machine_code, _) = compiled.library.serialize_using_object_code()
    symbol = compiled.fndesc.llvm_func_name
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    partial.write_bytes(symbol.encode() + b"\n" + machine_code)
    partial.replace(target)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
