"""Prompts: the same from the same seed, shared where the workload says so, and nowhere else."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from framework_vllm.client.prompts import PromptMaker

BLOCK = 16


def maker(seed: int = 0, vocabulary: range = range(5, 1000)) -> PromptMaker:
    return PromptMaker(vocabulary, seed, BLOCK)


@settings(deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 200), st.lists(st.integers(0, 2**62), max_size=6))
def test_a_prompt_has_the_asked_length_and_holds_no_token_outside_the_vocabulary(
    request: int, length: int, hashes: list[int]
) -> None:
    tokens = maker().token_ids(request, length, hashes)
    assert len(tokens) == length
    assert all(5 <= token < 1000 for token in tokens)
    assert tokens == json.loads(maker().json(request, length, hashes))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=5, unique=True),
    st.integers(0, 3),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_prompts_share_exactly_the_blocks_with_equal_hashes(
    hashes: list[int], parted_after: int, more: int, more_of_other: int
) -> None:
    shared = min(parted_after, len(hashes))
    other = hashes[:shared] + [block + 10**7 for block in hashes[shared:]]
    one = maker().token_ids(1, BLOCK * len(hashes) + more, hashes)
    two = maker().token_ids(2, BLOCK * len(hashes) + more_of_other, other)
    assert one[: shared * BLOCK] == two[: shared * BLOCK]
    if shared < len(hashes):
        assert one[shared * BLOCK : (shared + 1) * BLOCK] != two[shared * BLOCK : (shared + 1) * BLOCK]


@settings(deadline=None)
@given(st.integers(1, 3 * BLOCK))
def test_a_prompt_cut_short_begins_as_the_whole_one_does(length: int) -> None:
    whole = maker().token_ids(7, 3 * BLOCK, [1, 2, 3])
    assert maker().token_ids(7, length, [1, 2, 3]) == whole[:length]


def test_prompts_without_blocks_share_no_beginning() -> None:
    made = maker()
    beginnings = {tuple(made.token_ids(request, 64)[:8]) for request in range(500)}
    assert len(beginnings) == 500


def test_another_seed_gives_other_prompts_and_other_blocks() -> None:
    assert maker(0).token_ids(1, 64) != maker(1).token_ids(1, 64)
    assert maker(0).token_ids(1, 16, [5]) != maker(1).token_ids(1, 16, [5])


def test_a_block_and_a_request_of_the_same_number_differ() -> None:
    assert maker().token_ids(5, 16) != maker().token_ids(1, 16, [5])
