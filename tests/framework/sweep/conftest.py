from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from framework.cli.study_command import sweep_status, task
from framework.sweep import session as sessions
from framework.sweep.axis_check import Composer
from framework.sweep.ending import end_sweep
from framework.sweep.grid import Axis
from framework.sweep.study import Grids, carry_out

GRIDS: list[list[Axis]] = [
    [("backend.speed", ("1", "2"))],
    [("workload.size", ("4", "8")), ("backend.speed", ("2",))],
]
COMMON: list[Axis] = [("workload.size", ("4",))]


def _with(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    changed = config.copy()
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        OmegaConf.update(changed, override.key_or_group, override.value(), force_add=True)
    return changed


def _job(config: DictConfig) -> JobReturn:
    done = JobReturn(status=JobStatus.COMPLETED)
    try:
        done.return_value = task(config)
    except Exception as error:
        done.status, done.return_value = JobStatus.FAILED, error
    return done


@pytest.fixture
def study(
    toy_config: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., int]]:
    """Run the toy study's sweep from first to last without Hydra's slow composition; returns its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    default = toy_config(
        experiment="toy_grid",
        outputs_dir="outputs",
        progress=True,
        backend__fail=None,
        workload__seed=0,
        workload__size=4,
        workload__file=None,
        advisor__toy={"_target_": "toy_study.components.ToyAdvisor", "margin": 0, "fail": False},
    )

    def run(*overrides: str) -> int:
        sessions.forget()
        given: list[Axis] = [
            (key, tuple(value.split(","))) for key, _, value in (o.partition("=") for o in overrides)
        ]
        config = _with(default, [f"{key}={values[0]}" for key, values in given if len(values) == 1])
        grids = Grids(GRIDS, COMMON, given)
        composer = Composer(lambda fixed: _with(default, fixed), lambda group: [])
        session = carry_out(
            config, grids, composer, lambda jobs, first: [_job(_with(default, job)) for job in jobs]
        )
        end_sweep(config, session)
        return sweep_status()

    yield run
    sessions.forget()
