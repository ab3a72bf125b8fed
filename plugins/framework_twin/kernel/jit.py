"""How the kernel's functions are compiled, and how the compiled code is kept between processes.

Only the entry point is cached on disk; its callees are compiled into it. Numba checks a cached function against its
own source file alone, so the cache key here also holds a digest of every source the entry point is built from: a
changed step-time law never meets a stale kernel.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

Function = TypeVar("Function", bound=Callable[..., Any])

# No fastmath: results must be equal to the byte on every machine of one architecture. The "numpy" error model
# leaves out division checks, which the kernel guards itself.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False}
_NO_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For functions that only compiled code calls: what makes them callable from Python costs as much as some of them; calling one from Python is not possible."""


def compiled(function: Function) -> Function:
    """Compile a helper of the kernel; it becomes part of the entry point that calls it."""
    decorated: Function = numba.njit(**_OPTIONS, **_NO_WRAPPERS)(function)
    return decorated


def inlined(function: Function) -> Function:
    """Compile a helper that LLVM must inline: small, or called once per event."""
    decorated: Function = numba.njit(forceinline=True, **_OPTIONS)(function)
    return decorated


def merged(function: Function) -> Function:
    """Make a function part of its only caller before either is compiled.

    Numba optimises every function together with all that it calls, so a chain of n nested functions is optimised n
    times; this removes a link of the chain. For functions with one call site only.
    """
    decorated: Function = numba.njit(inline="always", **_OPTIONS, **_NO_WRAPPERS)(function)
    return decorated


def entry_point(function: Function) -> Function:
    """Compile a function that Python calls, on its first call, and keep the machine code on disk.

    The cache lies beside the sources or, where that folder can't be written, in the user's cache folder or a
    temporary one.
    """
    dispatcher: Any = numba.njit(**_OPTIONS)(function)
    keyed_cache: Any = _SourceKeyedCache
    try:
        dispatcher._cache = keyed_cache(function)
    except RuntimeError:  # numba found no writable place
        user = os.getuid() if hasattr(os, "getuid") else 0
        settings: Any = numba.config
        settings.CACHE_DIR = str(Path(tempfile.gettempdir()) / f"framework-twin-{user}")
        dispatcher._cache = keyed_cache(function)
    result: Function = dispatcher
    return result


class _SourceKeyedCache(FunctionCache):
    """Numba's function cache with the digest of all kernel sources in its key."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        key: Any = super()._index_key  # type: ignore[no-untyped-call]
        return (*key(sig, codegen), _source_digest())


@cache
def _source_digest() -> str:
    """Hash the kernel's sources and the step-time law."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in [*sorted(here.glob("*.py")), here.parent / "step_time.py"]:
        digest.update(source.read_bytes())
    return digest.hexdigest()
