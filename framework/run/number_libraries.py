"""NumPy and Arrow at the price of what is used of them: without pandas, without threads that wait at full speed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_TIMEOUT = "OPENBLAS_THREAD_TIMEOUT"
_SPIN = "20"  # 2^20 ticks, under a millisecond: long enough for the next call of a loop over products


def load_numpy_and_arrow() -> None:
    """Import NumPy and Arrow so that neither costs more than a small run.

    Arrow looks for pandas when it makes its first array, wherever that comes from. Here it looks in vain. Whoever
    imports pandas later (a plugin) gets it, and Arrow is told.
    """
    if "pandas" in sys.modules or "pyarrow" in sys.modules:
        return
    with _blas_threads_sleep():
        import pyarrow as pa

    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        pa.array(())
    finally:
        sys.meta_path.remove(hidden)
    sys.meta_path.insert(0, _Announced())


@contextmanager
def _blas_threads_sleep() -> Iterator[None]:
    """Have the threads of NumPy's OpenBLAS fall asleep at once when there is nothing to do.

    There is one for each core, and from its start it looks for work for 2^26 ticks, some 25 ms of processor time.
    Products still use them all. OpenBLAS reads the variable when it is loaded; it is not handed to what a run starts.
    """
    if _TIMEOUT in os.environ:
        yield
        return
    os.environ[_TIMEOUT] = _SPIN
    try:
        yield
    finally:
        del os.environ[_TIMEOUT]


class _Hidden(MetaPathFinder):
    """Finds no pandas."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse to look for it."""
        if name == "pandas":
            raise ModuleNotFoundError("not needed", name=name)
        return None


class _Announced(MetaPathFinder):
    """Lets Arrow look again once pandas has been imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return pandas as it would be found anyhow, with a word to Arrow at the end of its import."""
        if name != "pandas":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            plain = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                plain(module)
                import pyarrow.lib

                pyarrow.lib._pandas_api.series()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
