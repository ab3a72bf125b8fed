"""From a configuration group to the object it names."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from framework.errors import ConfigError, UserError, one_line


def build_component(config: DictConfig, group: str) -> Any:
    """Instantiate the class that a configuration group names in `_target_`, from the group's other keys.

    Raises:
        ConfigError: no such class, or its constructor refused a value; names the group.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    node = OmegaConf.select(config, group)
    if node is None or "_target_" not in node:
        raise ConfigError(f"configuration group '{group}' names no class in '{group}._target_'")
    try:
        return instantiate(node, _recursive_=False, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from error
        reason = one_line(cause or error)
        raise ConfigError(f"configuration group '{group}' ({node._target_}): {reason}") from error
