"""Decorators that say how the kernel's functions are compiled.

Compilation happens in a process of its own (`build.py`), once per machine and version of the sources. Everywhere else
these decorators leave functions as they are, so that no program that simulates has to import Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

# No fastmath: results must be equal to the byte on every machine of one architecture. The "numpy" error model
# leaves out division checks, which the kernel guards itself. Only compiled code calls these functions, so that the
# wrappers that would make them callable from Python are left out: compiling those costs as much as some functions.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
_building = False


def start_building() -> None:
    """Let the decorators compile from now on; call it before any module that uses them is imported."""
    global _building
    _building = True


def compiled(function: Function) -> Function:
    """Compile a function of the kernel; it becomes part of the entry point that calls it."""
    return _decorate(function)


def inlined(function: Function) -> Function:
    """Compile a function that LLVM must inline: small, or called once per event."""
    return _decorate(function, forceinline=True)


def merged(function: Function) -> Function:
    """Make a function part of its only caller before either is compiled.

    Numba optimises every function together with all that it calls, so a chain of n nested functions is optimised n
    times; this removes a link of the chain. For functions with one call site only.
    """
    return _decorate(function, inline="always")


def _decorate(function: Function, **options: Any) -> Function:
    if not _building:
        return function
    import numba

    decorated: Function = numba.njit(**_OPTIONS, **options)(function)
    return decorated
