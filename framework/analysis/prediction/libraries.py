"""The learning libraries, imported when first needed and named by extra when missing."""

from __future__ import annotations

import importlib
from typing import Any

from framework.errors import ConfigError


def learning_library(module: str) -> Any:
    """Return an imported module of scikit-learn, LightGBM or threadpoolctl.

    Raises:
        ConfigError: it is not installed; names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigError(
            f"prediction needs '{package}', which is not installed: pip install 'framework-lab[predict]'"
        ) from error
