from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.contracts import WorkloadTables
from framework.errors import ConfigError, InputError, RunFailedError, StoreError, UserError, did_you_mean


def test_a_misspelt_word_gets_the_closest_known_one() -> None:
    assert did_you_mean("opt-1.3", ["opt-1.3b", "llama-2-7b"]) == " (did you mean 'opt-1.3b'?)"


def test_a_word_like_none_of_a_few_gets_all_of_them_in_order() -> None:
    assert did_you_mean("zebra", ["twin", "fake"]) == " (known: fake, twin)"


def test_a_word_like_none_of_many_gets_no_hint() -> None:
    assert did_you_mean("zebra", [f"model-{i}" for i in range(31)]) == ""


def test_nothing_is_known_of_an_empty_list() -> None:
    assert did_you_mean("zebra", []) == ""


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=40))
def test_a_hint_names_nothing_that_is_not_known(word: str, known: list[str]) -> None:
    hint = did_you_mean(word, iter(known))
    if hint.startswith(" (did you mean"):
        begun = [name for name in sorted(set(known)) if name.lower().startswith(word.lower())]
        one = hint.removeprefix(" (did you mean '").removesuffix("'?)")
        assert one in known or (len(begun) > 1 and all(f"'{name}'" in hint for name in begun))
    elif hint:
        assert hint == f" (known: {', '.join(sorted(set(known)))})"


@pytest.mark.parametrize("word", ["alpha", "beta"])
def test_a_known_word_is_its_own_closest_match(word: str) -> None:
    assert did_you_mean(word, ["alpha", "beta"]) == f" (did you mean '{word}'?)"


def test_a_bad_configuration_ends_with_another_status_than_a_failed_run() -> None:
    assert ConfigError.exit_status == 2
    assert [kind.exit_status for kind in (UserError, InputError, StoreError, RunFailedError)] == [1] * 4


def test_a_table_that_a_workload_lacks_is_an_error_of_the_configuration() -> None:
    workload = WorkloadTables({"files": []}, "hash")  # type: ignore[dict-item]
    with pytest.raises(
        ConfigError, match="needs a workload with a table 'requests', and the one chosen has: files"
    ):
        workload.tables["requests"]
    assert workload.tables.get("requests") is None


def test_a_word_that_several_names_begin_with_gets_them_all() -> None:
    known = ["gh200", "h100-64gb", "h100-80gb", "h200-141gb"]
    assert did_you_mean("H100", known) == " (did you mean 'h100-64gb' or 'h100-80gb'?)"
    assert did_you_mean("h200", known) == " (did you mean 'h200-141gb'?)"


def test_a_name_of_more_words_than_ours_gets_the_ones_whose_words_it_has() -> None:
    known = [
        "h100-64gb",
        "h100-80gb",
        "h100-80gb-pcie",
        "l4",
        "l40s",
        "rtx-4090",
        *(f"g{i}" for i in range(30)),
    ]
    assert did_you_mean("ACME H100 80GB HBM3", known) == " (did you mean 'h100-80gb'?)"
    assert did_you_mean("ACME H100 PCIe 80GB", known) == " (did you mean 'h100-80gb-pcie'?)"
    assert did_you_mean("H100-SXM", known) == " (did you mean 'h100-64gb', 'h100-80gb' or 'h100-80gb-pcie'?)"
    assert did_you_mean("ACME-L4", known) == " (did you mean 'l4'?)"
    assert did_you_mean("ACME-L5", known) == ""
