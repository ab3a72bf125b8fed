"""Arrow without pandas: what a command does not use, it does not wait for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


def load_arrow_alone() -> None:
    """Import Arrow so that it does not import pandas, which takes it longer than a small run.

    Arrow looks for pandas when it makes its first array, wherever that comes from. Here it looks in vain. Whoever
    imports pandas later (a plugin) gets it, and Arrow is told.
    """
    if "pandas" in sys.modules or "pyarrow" in sys.modules:
        return
    import pyarrow as pa

    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        pa.array(())
    finally:
        sys.meta_path.remove(hidden)
    sys.meta_path.insert(0, _Announced())


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
