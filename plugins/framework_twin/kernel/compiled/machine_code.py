"""Find the kernel's machine code for this machine, or have it built, and make it callable.

A simulation needs neither Numba nor its start-up time (half a second of processor time): LLVM loads the
object file that `build.py` once wrote. The file is next to the sources or, where that folder can't be
written, in the user's cache folder or a private temporary one (`FRAMEWORK_TWIN_CACHE` names another). Its
name contains a digest of the sources, the processor and the compiler, so a changed step-time law never meets a
stale kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from framework.errors import UserError

_LOG = logging.getLogger(__name__)
_KERNEL = Path(__file__).parents[1]


def entry_point() -> Callable[[int], int]:
    """Return the kernel as a function of the address of a `SIMULATION` record; it releases the GIL.

    Raises:
        UserError: the kernel can't be built, or no folder can hold it.
    """
    with _LOADING:
        return _entry_point()


def prepare() -> None:
    """Begin to load, or to build, the kernel in the background; what goes wrong shows when it is needed."""

    def body() -> None:
        with contextlib.suppress(Exception):  # raised again when it is called
            entry_point()

    threading.Thread(target=body, name="twin kernel", daemon=True).start()


_LOADING = threading.Lock()


@cache
def _entry_point() -> Callable[[int], int]:
    symbol, machine_code = object_code()
    address = _load(symbol, machine_code)
    signature = ctypes.CFUNCTYPE(
        ctypes.c_int32, ctypes.POINTER(ctypes.c_int64), ctypes.POINTER(ctypes.c_void_p), ctypes.c_int64
    )
    function = signature(address)

    def run(simulation: int) -> int:
        result = ctypes.c_int64()
        if function(ctypes.byref(result), ctypes.byref(ctypes.c_void_p()), simulation) != 0:
            raise RuntimeError("the simulation kernel failed")
        return result.value

    return run


def object_code() -> tuple[str, bytes]:
    """Return the symbol of the entry point and the object file, which is built where no trusted folder has it."""
    name = file_name()
    for folder in _folders():
        if (folder / name).is_file() and _is_private(folder):
            break
    else:
        folder = _first_writable()
        _build(folder / name)
    symbol, machine_code = (folder / name).read_bytes().split(b"\n", 1)
    return symbol.decode(), machine_code


def _load(symbol: str, machine_code: bytes) -> int:
    """Link the object file into this process; return the entry point's address."""
    import llvmlite.binding

    llvm: Any = llvmlite.binding
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(machine_code))
    engine.finalize_object()
    _ENGINES.append(engine)
    return int(engine.get_function_address(symbol))


_ENGINES: list[Any] = []
"""Owners of loaded machine code, kept as long as the process lives."""


def _build(target: Path) -> None:
    _LOG.info("compiling the twin's kernel for this machine (once, about ten seconds)")
    command = [sys.executable, "-m", "framework_twin.kernel.compiled.build", str(target)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if finished.returncode != 0 or not target.is_file():
        reason = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"the twin's kernel can't be compiled: {reason}")
    for old in target.parent.glob("kernel-*.o"):
        if old != target:
            old.unlink(missing_ok=True)


def file_name() -> str:
    """Return the name of the object file for these sources, this processor and this compiler."""
    import llvmlite
    import llvmlite.binding

    llvm: Any = llvmlite.binding
    digest = hashlib.sha256(f"{llvmlite.__version__} {sys.implementation.cache_tag}".encode())
    digest.update(f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}".encode())
    for source in [*sorted(_KERNEL.rglob("*.py")), _KERNEL.parent / "physics" / "step_time.py"]:
        digest.update(source.read_bytes())
    return f"kernel-{digest.hexdigest()[:24]}.o"


def _folders() -> Iterator[Path]:
    """Yield the folders that may contain the kernel, the best first."""
    chosen = os.environ.get("FRAMEWORK_TWIN_CACHE")
    if chosen:
        yield Path(chosen)
        return
    yield _KERNEL / "__pycache__"
    user_cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    yield Path(user_cache).expanduser() / "framework-lab"
    yield Path(tempfile.gettempdir()) / f"framework-lab-{_user()}"


def _first_writable() -> Path:
    for folder in _folders():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and _is_private(folder):
            return folder
    raise UserError(
        "no folder for the compiled kernel of the twin: set FRAMEWORK_TWIN_CACHE to a folder that you can write to"
    )


def _is_private(folder: Path) -> bool:
    """Return whether no other user could have put code there: no folder that all may write to is trusted."""
    return not folder.stat().st_mode & 0o002


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
