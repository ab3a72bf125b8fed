"""The sweep's loader against Hydra's own: the same configuration, the same refusals."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import hydra
import pytest
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from framework.configuration.composition import register_with_hydra
from framework.configuration.composition_cache import SweepConfigLoader
from framework.configuration.resources import conf_dir

# all that Hydra can set: groups, values, interpolations, packages, additions, deletions, Hydra's own node
OVERRIDES = [
    "+experiment=memory_gap",
    "model=opt-2.7b",
    "model=llama-2-7b",
    "workload=fixed",
    "gpu=none",
    "backend.max_num_seqs=8",
    "backend.max_num_seqs=16",
    "backend.chunked_prefill=true",
    "workload.seed=7",
    "workload.num_requests=${backend.max_num_seqs}",
    "model.layers=3",
    "sweep.index=5",
    "sweep.id=study-0123",
    "resume=false",
    "scale={axis_points:2}",
    "scale.name=other",
    "+data.train=runs.csv",
    "++workload.seed=9",
    "++model.extra=[1,2]",
    "~advisor",
    "hydra.job.override_dirname=x",
    "advisor=[bca]",
]


@pytest.fixture(scope="module")
def loader() -> Iterator[ConfigLoader]:
    register_with_hydra()
    setup_globals()
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()
    GlobalHydra.instance().clear()


@pytest.fixture(scope="module")
def master(loader: ConfigLoader) -> DictConfig:
    config = loader.load_configuration("config", ["hydra.job.name=study"], RunMode.MULTIRUN)
    OmegaConf.set_readonly(config.hydra, False)
    return config


@pytest.fixture(scope="module")
def cached(loader: ConfigLoader) -> SweepConfigLoader:
    return SweepConfigLoader(loader)


def _text(loader: ConfigLoader, master: DictConfig, overrides: list[str]) -> str:
    """A configuration with its interpolations, flags of closed nodes included; or Hydra's refusal."""
    try:
        config = loader.load_sweep_config(master, overrides)
    except HydraException as error:
        return f"{type(error).__name__}: {error}"
    groups = {
        str(key): OmegaConf.select(config, str(key), throw_on_resolution_failure=False) for key in config
    }
    closed = [
        key for key, group in groups.items() if OmegaConf.is_config(group) and OmegaConf.is_struct(group)
    ]
    return OmegaConf.to_yaml(config) + repr(closed)


@pytest.mark.parametrize("examples", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_a_job_is_composed_as_hydra_composes_it(
    loader: ConfigLoader, cached: SweepConfigLoader, master: DictConfig, examples: int
) -> None:
    @given(st.lists(st.sampled_from(OVERRIDES), max_size=7, unique=True))
    @settings(max_examples=examples, deadline=None)
    def agree(overrides: list[str]) -> None:
        assert _text(cached, master, overrides) == _text(loader, master, overrides)

    agree()


@pytest.mark.parametrize(
    "override", ["backend.max_num_sqs=8", "backend.max_num_seqs=many", "model=opt-1.4b", "sweep.index=a"]
)
def test_what_hydra_refuses_is_refused_in_its_words(
    loader: ConfigLoader, cached: SweepConfigLoader, master: DictConfig, override: str
) -> None:
    refusal = _text(loader, master, [override])
    assert refusal.partition(":")[0].endswith(("Exception", "Error"))
    assert _text(cached, master, [override]) == refusal


def test_a_choice_is_composed_once_for_all_values_behind_it(
    loader: ConfigLoader, master: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    real = loader.load_sweep_config

    def counted(config: DictConfig, overrides: list[str]) -> DictConfig:
        calls.append(overrides)
        return real(config, overrides)

    monkeypatch.setattr(loader, "load_sweep_config", counted)
    fast = SweepConfigLoader(loader)
    for index in range(5):
        fast.load_sweep_config(master, ["backend.max_num_seqs=2", "model=opt-2.7b", f"sweep.index={index}"])
    assert calls == [["model=opt-2.7b"]]


def test_jobs_do_not_share_their_configuration(cached: SweepConfigLoader, master: DictConfig) -> None:
    first = cached.load_sweep_config(master, ["workload.seed=1"])
    first.workload.seed = 99
    assert cached.load_sweep_config(master, ["backend.max_num_seqs=3"]).workload.seed == 0


def test_the_loader_travels_to_a_worker(cached: SweepConfigLoader, master: DictConfig) -> None:
    there = pickle.loads(pickle.dumps(cached))
    assert there.load_sweep_config(master, ["workload.seed=4"]).workload.seed == 4
