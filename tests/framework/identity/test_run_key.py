from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from framework.configuration.study_config import VOLATILE_KEYS
from framework.identity.run_key import (
    canonical_hash,
    input_file_stamps,
    job_key,
    new_run_id,
    run_key,
    without_volatile,
)

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)
_CONFIG = {"backend": {"speed": 2, "name": "toy"}, "workload": {"seed": 1}}


@pytest.mark.slow
@given(st.dictionaries(st.text(max_size=5), _JSON, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(config: dict[str, object], random: object) -> None:
    keys = list(config)
    random.shuffle(keys)  # type: ignore[attr-defined]
    assert canonical_hash({key: config[key] for key in keys}) == canonical_hash(config)


@pytest.mark.slow
@given(_JSON, _JSON)
def test_another_value_has_another_hash(a: object, b: object) -> None:
    assume(a != b)
    assert canonical_hash(a) != canonical_hash(b)


@pytest.mark.parametrize("key", VOLATILE_KEYS)
def test_how_a_study_is_carried_out_is_no_part_of_the_key(key: str) -> None:
    changed = {**_CONFIG, key: "anything"}
    assert run_key(changed, "w", "c", 0) == run_key(_CONFIG, "w", "c", 0)
    assert key not in without_volatile(changed)


@pytest.mark.parametrize(
    "other",
    [
        ({**_CONFIG, "backend": {"speed": 3, "name": "toy"}}, "w", "c", 0),
        ({**_CONFIG, "metrics": {"power": {}}}, "w", "c", 0),
        (_CONFIG, "another workload", "c", 0),
        (_CONFIG, "w", "another code", 0),
        (_CONFIG, "w", "c", 1),
    ],
    ids=["value", "collector", "workload", "code", "repeat"],
)
def test_what_is_measured_is_part_of_the_key(other: tuple[dict[str, object], str, str, int]) -> None:
    assert run_key(*other) != run_key(_CONFIG, "w", "c", 0)


def test_a_job_key_does_not_depend_on_the_order_of_overrides() -> None:
    assert job_key("base", ["a=1", "b=2"], 0) == job_key("base", ["b=2", "a=1"], 0)
    assert len({job_key("base", ["a=1"], 0), job_key("other", ["a=1"], 0), job_key("base", ["a=1"], 1)}) == 3


def test_a_file_named_anywhere_in_a_configuration_is_stamped(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("1,2\n")
    config = {"workload": {"files": [str(trace), str(tmp_path / "absent.csv")], "name": "trace"}}
    assert input_file_stamps(config) == [[str(trace), 4, trace.stat().st_mtime_ns]]


def test_a_changed_file_has_another_stamp(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("1,2\n")
    before = input_file_stamps({"file": str(trace)})
    os.utime(trace, ns=(0, trace.stat().st_mtime_ns + 1))
    assert input_file_stamps({"file": str(trace)}) != before


@given(st.text(max_size=2000))
def test_any_text_may_stand_in_a_configuration(text: str) -> None:
    assert isinstance(input_file_stamps({"text": text}), list)


def test_run_ids_are_unique_and_begin_with_the_time_and_the_key() -> None:
    ids = {new_run_id("0123456789abcdef") for _ in range(100)}
    assert len(ids) == 100
    assert all(run_id.split("-")[1] == "01234567" for run_id in ids)
