"""What is left between runs is taken by the next one that wants the same, and ended in every other case."""

from __future__ import annotations

import pytest

from framework.processes.between_runs import BetweenRuns, current, kept_between_runs


@pytest.fixture
def ended() -> list[str]:
    return []


def leave(keeper: BetweenRuns, key: str, ended: list[str]) -> None:
    keeper.leave(key, f"thing {key}", lambda: ended.append(key))


def test_the_same_key_gets_what_was_left_and_owns_it(ended: list[str]) -> None:
    with kept_between_runs() as keeper:
        assert current() is keeper
        keeper.begin("engine")
        assert keeper.take("a") is None
        leave(keeper, "a", ended)
        keeper.begin("engine")
        assert keeper.take("a") == "thing a"
        assert keeper.take("a") is None
    assert ended == []  # taken: its taker ends it
    assert current() is None


def test_another_key_another_owner_and_the_end_of_the_sweep_end_it(ended: list[str]) -> None:
    def interrupted() -> None:
        with kept_between_runs() as keeper:
            keeper.begin("engine")
            leave(keeper, "a", ended)
            assert keeper.take("b") is None
            assert ended == ["a"]
            leave(keeper, "b", ended)
            keeper.begin("other engine")
            assert ended == ["a", "b"]
            leave(keeper, "c", ended)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert ended == ["a", "b", "c"]
