from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore

from framework.configuration.components import build_component
from framework.contracts import Workload, WorkloadTables
from framework.errors import ConfigError
from framework_serving import plugin, tables
from framework_serving.workloads.adapter_mix import AdapterMixWorkload
from framework_serving.workloads.synthetic import SyntheticWorkload

CONF = Path(__file__).parents[3] / "conf"
LENGTHS = {"kind": "gamma", "input_tokens": 50, "input_std": 60, "output_tokens": 20, "output_std": 25}


def composed(*overrides: str) -> Workload:
    store = ConfigStore.instance()
    for group, name, schema in plugin.config_schemas():
        store.store(group=group, name=name, node=schema)
    store.store(name="workload_only", node={"workload": None})
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("workload_only", list(overrides))
    built = build_component(config, "workload")
    assert isinstance(built, Workload)
    return built


def synthetic(seed: int = 0, **keys: object) -> WorkloadTables:
    return SyntheticWorkload(**{"num_requests": 60, "lengths": LENGTHS, **keys}).build(seed)


@pytest.mark.parametrize("name", ["fixed", "sharegpt", "adapters"])
def test_shipped_workload_composes_and_builds_the_fixed_tables(name: str) -> None:
    built = composed(f"+workload={name}").build(0)
    assert built.tables["requests"].schema == tables.requests_in()
    assert built.tables["adapters"].schema == tables.adapters()
    assert built.facts["num_requests"] == built.tables["requests"].num_rows


def test_sharegpt_load_has_the_measured_means() -> None:
    facts = composed("+workload=sharegpt").build(7).facts
    assert facts["input_tokens_mean"] == pytest.approx(110.6)
    assert facts["output_tokens_mean"] == pytest.approx(292.4)
    assert facts["num_requests"] == 2000


def test_arrivals_compose_with_any_lengths() -> None:
    built = composed(
        "+workload=fixed", "workload.arrivals.kind=poisson", "workload.arrivals.rate_rps=4"
    ).build(0)
    assert built.facts["offered_rps"] == pytest.approx(4, rel=0.1)


def test_same_seed_gives_the_same_bytes_and_another_seed_other_lengths() -> None:
    assert synthetic(3).content_hash == synthetic(3).content_hash
    assert synthetic(3).content_hash != synthetic(4).content_hash


def test_lengths_do_not_move_when_arrivals_change() -> None:
    burst = synthetic()
    poisson = synthetic(arrivals={"kind": "poisson", "rate_rps": 2})
    assert burst.tables["requests"]["input_tokens"] == poisson.tables["requests"]["input_tokens"]


def test_the_time_a_run_is_cut_is_part_of_its_identity() -> None:
    arrivals = {"kind": "constant", "rate_rps": 2}
    whole = synthetic(duration_s=30, arrivals=arrivals)
    cut = synthetic(duration_s=30, drain=False, arrivals=arrivals)
    assert whole.tables["requests"] == cut.tables["requests"]
    assert cut.facts["horizon_s"] == 30
    assert whole.facts["horizon_s"] is None
    assert whole.content_hash != cut.content_hash


def test_scale_caps_requests_and_tokens() -> None:
    built = synthetic(max_requests=5, max_tokens=8).tables["requests"]
    assert built.num_rows == 5
    assert max(built["input_tokens"].to_pylist() + built["output_tokens"].to_pylist()) <= 8


def test_misspelt_key_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"workload\.lengths\.input_tokn: .*did you mean 'input_tokens'"):
        SyntheticWorkload(lengths={"input_tokn": 3})
    with pytest.raises(ConfigError, match=r"workload\.arrivals: expected a mapping"):
        SyntheticWorkload(arrivals="burst")


def test_cutting_a_run_without_a_time_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"workload\.drain: false needs workload\.duration_s"):
        synthetic(drain=False)


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"workload\.seed: must be at least 0"):
        synthetic(-1)


def adapters(seed: int = 0, **keys: object) -> WorkloadTables:
    defaults = {"n_adapters": 6, "ranks": [8, 16], "rates_rps": [1.0, 0.5, 0.25], "duration_s": 400.0}
    return AdapterMixWorkload(**{**defaults, "lengths": LENGTHS, **keys}).build(seed)


def test_ranks_are_dealt_in_turn_and_rates_are_dealt_then_shuffled() -> None:
    table = adapters().tables["adapters"]
    assert table["rank"].to_pylist() == [8, 16, 8, 16, 8, 16]
    assert sorted(table["rate_rps"].to_pylist()) == [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]
    orders = {tuple(adapters(seed).tables["adapters"]["rate_rps"].to_pylist()) for seed in range(5)}
    assert len(orders) > 1


def test_each_adapter_is_offered_its_own_rate() -> None:
    built = adapters(duration_s=4000.0)
    owner = built.tables["requests"]["adapter_id"].to_numpy()
    for adapter in built.tables["adapters"].to_pylist():
        expected = adapter["rate_rps"] * 4000
        assert (owner == adapter["adapter_id"]).sum() == pytest.approx(expected, abs=4.5 * expected**0.5)


def test_streams_do_not_start_together() -> None:
    starts = adapters(arrivals={"kind": "constant"}, n_adapters=30).tables["requests"]["arrival_s"].to_numpy()
    assert starts[0] == 0
    assert len(np.unique(starts[:10])) == 10


def test_burst_on_adapters_is_dealt_in_turn_without_a_rate() -> None:
    built = adapters(num_requests=8, arrivals={"kind": "burst"}, duration_s=None, drain=True)
    assert built.tables["requests"]["adapter_id"].to_pylist() == [0, 1, 2, 3, 4, 5, 0, 1]
    assert built.tables["adapters"]["rate_rps"].null_count == 6


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"n_adapters": 0}, "workload.n_adapters: must be at least 1"),
        ({"ranks": []}, "workload.ranks: at least one rank"),
        ({"ranks": [0]}, "workload.ranks: must be at least 1"),
        ({"rates_rps": []}, "workload.rates_rps: at least one rate"),
        ({"rates_rps": [float("nan")]}, "workload.rates_rps: expected a number"),
        ({"duration_s": None, "drain": True}, "workload.duration_s: needed"),
        ({"num_requests": 5}, "workload.num_requests: must be null"),
        ({"arrivals": {"kind": "poisson", "rate_rps": 3}}, "workload.arrivals.rate_rps: not used"),
        ({"rates_rps": [1e-9]}, "workload: no request arrives"),
    ],
)
def test_bad_adapter_mix_is_one_line_that_names_the_key(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        adapters(**keys)
    assert message in str(caught.value)
