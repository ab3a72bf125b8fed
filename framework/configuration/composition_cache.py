"""Composing a sweep's jobs without reading the same YAML files for every one of them.

Hydra composes each job from nothing, which costs about 0.1 s: defaults tree, YAML parsing, merging. The jobs of a
sweep mostly differ in values. So whatever *chooses* (groups, additions, deletions) is composed once, by Hydra, and
the plain `key.path=value` overrides behind it are set on a copy, in the way and order in which Hydra does it last.
"""

from __future__ import annotations

import pickle
import secrets
from collections import OrderedDict
from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.plugins.config_source import ConfigSource
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

_MOST_KEPT = 256
# pickled configurations; of the process, since launchers hand every job of a worker a fresh copy of the loader
_composed: OrderedDict[tuple[str, ...], bytes] = OrderedDict()


class SweepConfigLoader(ConfigLoader):
    """Hydra's configuration loader, made fast for the jobs of one sweep; pickles with the context it travels in."""

    def __init__(self, hydra_loader: ConfigLoader) -> None:
        self._hydra = hydra_loader
        self._sweep = secrets.token_hex(8)  # the next sweep of this process may find other YAML files
        self._options: dict[str, list[str]] = {}

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Return the configuration of a job: what Hydra's own loader returns.

        Raises Hydra's errors. A value that can't be set on the copy is left to Hydra, to be refused in its words.
        """
        overrides = list(sweep_overrides)
        parsed = OverridesParser.create().parse_overrides(overrides)
        head, values = self._split(parsed)
        config = self._copy_of_composed(master_config, head)
        try:
            for override in values:
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:
            return self._hydra.load_sweep_config(master_config, overrides)
        _describe(config, [override for override in parsed if not override.is_hydra_override()])
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config

    def _split(self, parsed: Sequence[Override]) -> tuple[list[Override], list[Override]]:
        """Return what Hydra must compose, and the plain values that come after all other changes of values.

        Groups are chosen before any value is set, so a choice may stand anywhere.
        """
        values: list[Override] = []
        head: list[Override] = []
        rest = list(parsed)
        while rest:
            override = rest.pop()
            if _is_plain_value(override):
                values.insert(0, override)
            elif self._is_choice(override):
                head.insert(0, override)
            else:
                return [*rest, override, *head], values
        return head, values

    def _is_choice(self, override: Override) -> bool:
        if override.is_hydra_override() or not isinstance(override.value(), str | list):
            return False
        return bool(self.get_group_options(override.key_or_group))

    def _copy_of_composed(self, master_config: DictConfig, head: Sequence[Override]) -> DictConfig:
        texts = [str(override.input_line) for override in head]
        key = (self._sweep, *texts)
        if key not in _composed:
            composed = self._hydra.load_sweep_config(master_config, texts)
            try:
                _composed[key] = pickle.dumps(composed)  # loading it takes a tenth of the time of a deepcopy
            except (pickle.PicklingError, TypeError, AttributeError):
                return composed  # a plugin's schema that can't be pickled: composed again for every job
            if len(_composed) > _MOST_KEPT:
                _composed.popitem(last=False)
        config = pickle.loads(_composed[key])
        assert isinstance(config, DictConfig)
        return config

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose a configuration from nothing."""
        return self._hydra.load_configuration(
            config_name, overrides, run_mode, from_shell, validate_sweep_overrides
        )

    def get_search_path(self) -> ConfigSearchPath:
        """Return where configuration files are looked for."""
        return self._hydra.get_search_path()

    def get_sources(self) -> list[ConfigSource]:
        """Return the sources of the search path."""
        return self._hydra.get_sources()

    def list_groups(self, parent_name: str) -> list[str]:
        """Return the groups below a group."""
        return self._hydra.list_groups(parent_name)

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        """Return the options of a group; those of the sweep's own search path are looked up once."""
        if results_filter is not ObjectType.CONFIG or config_name is not None or overrides is not None:
            return self._hydra.get_group_options(group_name, results_filter, config_name, overrides)
        if group_name not in self._options:
            self._options[group_name] = self._hydra.get_group_options(group_name)
        return self._options[group_name]

    def compute_defaults_list(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode
    ) -> object:
        """Return the tree of defaults."""
        return self._hydra.compute_defaults_list(config_name, overrides, run_mode)


def _is_plain_value(override: Override) -> bool:
    """Return whether an override is `some.key=value`: no addition, deletion, sweep, package or group.

    A key with a dot is not a group; one without may be, and is left to Hydra.
    """
    return (
        override.type is OverrideType.CHANGE
        and override.package is None
        and "." in override.key_or_group
        and "/" not in override.key_or_group
        and not override.is_hydra_override()
        and not override.is_sweep_override()
    )


def _describe(config: DictConfig, task_overrides: Sequence[Override]) -> None:
    """Write all of a job's overrides, and the folder name made of them, into Hydra's own record."""
    lines = [str(override.input_line) for override in task_overrides]
    config.hydra.overrides.task = lines
    form = config.hydra.job.config.override_dirname
    named = sorted(str(o.input_line) for o in task_overrides if o.key_or_group not in form.exclude_keys)
    config.hydra.job.override_dirname = form.item_sep.join(named).replace("=", form.kv_sep)
