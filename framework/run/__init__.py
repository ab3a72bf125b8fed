"""The life of one run.

`framework.run("+experiment=NAME")` is a call of this package, since importing it takes the place of the function.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CalledPackage(ModuleType):
    def __call__(self, *overrides: str, check: bool = True) -> Any:
        return sys.modules["framework"]._run(*overrides, check=check)


sys.modules[__name__].__class__ = _CalledPackage
