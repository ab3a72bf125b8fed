"""Sweeper of a study: several grids, resume before composition, stable job numbers, repeats.

Hydra imports this module on every study command: heavy imports stay inside the methods. It executes the
module before it registers it, which dataclasses with postponed annotations don't survive.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import islice
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from framework.sweep.sweeper_conf import StudySweeperConf

ConfigStore.instance().store(group="hydra/sweeper", name="study", node=StudySweeperConf, provider="framework")


class StudySweeper(Sweeper):
    """Plans the study, skips what is done, and hands the rest to the launcher."""

    def __init__(self, params: Mapping[str, Any] | None, grids: Mapping[str, Any]) -> None:
        self.params = params
        self.grids = grids
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over; the launcher is made when there is something to launch."""
        from framework.configuration.composition_cache import SweepConfigLoader

        self.hydra_context = replace(
            hydra_context, config_loader=SweepConfigLoader(hydra_context.config_loader)
        )
        self.task_function = task_function
        self.config = config

    def sweep(self, arguments: list[str]) -> Any:
        """Carry out the study; `arguments` are the task overrides of the command line."""
        from framework.sweep.axis_check import Composer
        from framework.sweep.study import Grids, carry_out

        config, context = self.config, self.hydra_context
        assert config is not None
        assert context is not None
        composer = Composer(
            compose=lambda overrides: context.config_loader.load_sweep_config(config, list(overrides)),
            options=lambda group: context.config_loader.get_group_options(group),
        )
        own = [self._axes(f"grids.{name}", grid) for name, grid in (self.grids or {"": {}}).items()]
        common, given = self._axes("params", self.params), self._given(arguments)
        varied = {key for axes in (common, *own) for key, _ in axes}
        varied |= {key for key, values in given if len(values) > 1}
        self._check_mappings(arguments, {key.lstrip("+") for key in varied})
        grids = Grids(own, common, given)
        return carry_out(config, grids, composer, self._launch)

    def _launch(self, jobs: Sequence[Sequence[str]], first_index: int) -> Sequence[Any]:
        from hydra.core.plugins import Plugins

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.task_function is not None
        launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.hydra_context, task_function=self.task_function, config=self.config
        )
        return launcher.launch(jobs, initial_job_idx=first_index)

    def _axes(self, name: str, axes: Any) -> list[tuple[str, tuple[str, ...]]]:
        if not isinstance(axes, Mapping | None):
            from framework.errors import ConfigError

            raise ConfigError(f"configuration key 'hydra.sweeper.{name}': not a mapping of keys to values")
        return self._given([f"{key}={_sweep_text(value)}" for key, value in (axes or {}).items()])

    def _given(self, arguments: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
        """Return (key, values) of overrides; of several for one key the last one holds, as in Hydra."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        axes: dict[str, tuple[str, tuple[str, ...]]] = {}
        for override in parser.parse_overrides(list(arguments)):
            key = override.get_key_element()
            axes.pop(key.lstrip("+"), None)
            axes[key.lstrip("+")] = (key, self._values(override))
        return list(axes.values())

    def _check_mappings(self, arguments: Sequence[str], varied: Set[str]) -> None:
        """Raise `ConfigError` for `group={key: value}` whose key is an axis: each point would set it again."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        for override in parser.parse_overrides(list(arguments)):
            for key in _leaves(override.get_key_element().lstrip("+"), override.value()):
                if key in varied:
                    from framework.errors import ConfigError

                    text = override.input_line
                    raise ConfigError(f"override '{text}': the study varies '{key}'; write {key}=VALUE")

    def _values(self, override: Override) -> tuple[str, ...]:
        from framework.errors import ConfigError, did_you_mean
        from framework.sweep.axis_check import MOST_POINTS

        text, value = override.input_line, override.value()
        if not override.is_sweep_override():
            return (override.get_value_element_as_str(),)
        if not override.is_discrete_sweep():
            key = override.get_key_element()
            raise ConfigError(f"override '{key}': a continuous interval can't be swept over; list values")
        if isinstance(value, Glob):
            assert self.hydra_context is not None
            options = self.hydra_context.config_loader.get_group_options(override.key_or_group)
            shown = [option for option in options if not option.endswith("_schema")]
            if not shown:
                raise ConfigError(
                    f"override '{text}': glob is for configuration groups; list the values of a key"
                )
            values = tuple(value.filter(shown))
            if not values:
                raise ConfigError(f"override '{text}': matches nothing{did_you_mean('', shown)}")
            return values
        values = tuple(islice(override.sweep_string_iterator(), MOST_POINTS + 1))
        if not values:
            raise ConfigError(f"override '{text}': an axis without values")
        if len(values) > MOST_POINTS:
            raise ConfigError(f"override '{text}': more than {MOST_POINTS:,} values")
        return values


def _leaves(key: str, value: Any) -> Iterator[str]:
    """Yield the keys that a mapping sets below a key; nothing for any other value."""
    for name, below in value.items() if isinstance(value, Mapping) else ():
        yield f"{key}.{name}"
        yield from _leaves(f"{key}.{name}", below)


def _sweep_text(value: Any) -> str:
    """Return an axis of an experiment file in Hydra's sweep syntax; a YAML list holds its values."""
    if value is None:
        return "null"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not value:
            from framework.errors import ConfigError

            raise ConfigError("configuration key 'hydra.sweeper': an axis without values ([])")
        return ",".join(map(_sweep_text, value))
    return str(value)
