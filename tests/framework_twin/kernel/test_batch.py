"""The batch interface: every configuration once, refusals as outcomes."""

from __future__ import annotations

import numpy as np
import pytest

from framework_twin.kernel.batch import BatchItem, Refusal, run_batch
from framework_twin.kernel.inputs import EngineConfig, Requests
from framework_twin.kernel.simulate import simulate
from framework_twin.physics.step_time import parameter_vector


def duration_of(kv_blocks: int) -> float:
    """Simulate 50 requests; importable, as a task must be."""
    requests = Requests(
        arrival_s=np.zeros(50),
        input_tokens=np.full(50, 30, dtype=np.int32),
        output_tokens=np.full(50, 20, dtype=np.int32),
    )
    law = parameter_vector(host_s=0.01)
    return simulate(EngineConfig(kv_blocks=kv_blocks), requests, law).duration_s


def broken(kv_blocks: int) -> float:
    raise ZeroDivisionError(kv_blocks)


def test_batch_yields_every_configuration_once_with_refusals() -> None:
    items = list(run_batch(duration_of, [50, 0, 200], workers=1))
    assert [item.index for item in items] == [0, 1, 2]
    assert items[0] == BatchItem(0, duration_of(50))
    assert isinstance(items[1].outcome, Refusal)
    assert "kv_blocks: 0" in items[1].outcome.reason


def test_a_defect_in_a_task_names_the_configuration() -> None:
    with pytest.raises(ZeroDivisionError) as error:
        list(run_batch(broken, [7], workers=1))
    assert "configuration 0: 7" in error.value.__notes__[0]


@pytest.mark.slow
def test_batch_in_processes_agrees_with_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework_twin.kernel.batch.POOL_PAYS_AFTER_S", 0.0)
    sizes = list(range(20, 60))
    pooled = {item.index: item.outcome for item in run_batch(duration_of, sizes, workers=2)}
    alone = {item.index: item.outcome for item in run_batch(duration_of, sizes, workers=1)}
    assert pooled == alone
