"""The parser: whatever pieces the network cuts an answer into, and whatever a server sends instead of one."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_vllm.client.wire.completion_stream import CompletionStream

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def message(
    ids: int | None,
    finish: str | None = None,
    text: str = "ä",
    usage: int | None = None,
    compact: bool = True,
) -> bytes:
    choice: dict[str, object] = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    if ids is not None:
        choice |= {"prompt_token_ids": [5, 6], "token_ids": list(range(ids))}
    body: dict[str, object] = {"id": "cmpl-1", "choices": [choice]}
    if usage is not None:
        body["usage"] = {"prompt_tokens": 2, "completion_tokens": usage}
    separators = (",", ":") if compact else None
    return b"data: " + json.dumps(body, separators=separators, ensure_ascii=False).encode() + b"\n\n"


def answer(sizes: list[int], compact: bool = True, newline: bytes = b"\n") -> tuple[bytes, int]:
    """A whole answer whose events hold so many tokens, and their sum."""
    events = [message(size, compact=compact) for size in sizes[:-1]]
    events.append(message(sizes[-1], "length", compact=compact))
    total = {"prompt_tokens": 2, "completion_tokens": sum(sizes)}
    events.append(b"data: " + json.dumps({"choices": [], "usage": total}).encode() + b"\n\n")
    events.append(b"data: [DONE]\n\n")
    return HEAD + b"".join(chunk(event.replace(b"\n", newline)) for event in events) + b"0\r\n\r\n", sum(
        sizes
    )


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places) if b > a]


def fed(parts: list[bytes]) -> tuple[CompletionStream, list[int]]:
    stream = CompletionStream()
    return stream, [stream.feed(part) for part in parts]


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
    st.lists(st.integers(0, 10_000), max_size=30),
    st.booleans(),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_any_split_of_an_answer_into_segments_gives_the_same_tokens(
    sizes: list[int], cuts: list[int], compact: bool, newline: bytes
) -> None:
    data, tokens = answer(sizes, compact, newline)
    stream, counts = fed(pieces(data, cuts))
    assert (stream.tokens, sum(counts), stream.completion_tokens) == (tokens, tokens, tokens)
    assert (stream.complete, stream.failure, stream.counted, stream.reusable) == (True, None, True, True)
    assert (stream.finish_reason, stream.prompt_tokens, stream.events) == ("length", 2, len(sizes))


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=6), st.data())
def test_a_token_is_never_seen_before_its_last_byte_nor_later_than_its_event(
    sizes: list[int], data: st.DataObject
) -> None:
    whole, _ = answer(sizes)
    ends = []  # after how many bytes each event is whole
    place = 0
    for size in sizes[:-1]:
        place = whole.index(b"\n\n\r\n", place) + 4
        ends.append((place, size))
    cut = data.draw(st.integers(1, whole.index(b'"length"')))
    stream = CompletionStream()
    stream.feed(whole[:cut])
    whole_events = sum(size for end, size in ends if end <= cut)
    nearly_whole = sum(
        size for end, size in ends if end - 2 <= cut
    )  # the CRLF after an event carries nothing
    assert whole_events <= stream.tokens <= nearly_whole


@settings(deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=8))
def test_garbage_never_raises(data: bytes, cuts: list[int]) -> None:
    stream, _ = fed(pieces(data, cuts))
    stream.closed()
    assert stream.complete
    assert stream.failure or stream.tokens == 0 or stream.status == 200


@settings(deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.data())
def test_a_damaged_answer_never_raises_and_ends(sizes: list[int], data: st.DataObject) -> None:
    whole = bytearray(answer(sizes)[0])
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    stream, _ = fed(pieces(bytes(whole), data.draw(st.lists(st.integers(0, 5000), max_size=5))))
    stream.closed()
    assert stream.complete


@settings(deadline=None)
@given(st.lists(st.integers(1, 3), min_size=2, max_size=5), st.data())
def test_a_stream_that_breaks_off_is_a_failure_that_counts_its_tokens(
    sizes: list[int], data: st.DataObject
) -> None:
    whole, tokens = answer(sizes)
    cut = data.draw(st.integers(0, whole.index(b"[DONE]")))
    stream = CompletionStream()
    if cut:
        stream.feed(whole[:cut])
    stream.closed()
    assert stream.failure is not None
    assert stream.failure.startswith("the server closed the connection")
    assert stream.tokens <= tokens


def test_prompt_token_ids_are_not_taken_for_tokens() -> None:
    stream, counts = fed([HEAD, chunk(message(1))])
    assert counts == [0, 1]
    assert stream.tokens == 1


def test_token_ids_within_the_text_are_not_counted() -> None:
    stream, _ = fed([HEAD, chunk(message(1, text='"token_ids":[1,2,3]'))])
    assert stream.tokens == 1


def test_an_event_without_token_ids_counts_as_one_and_says_so() -> None:
    stream, _ = fed([HEAD + chunk(message(None)) + chunk(message(None, "stop", text="")) + b"0\r\n\r\n"])
    assert (stream.tokens, stream.counted, stream.failure, stream.finish_reason) == (1, False, None, "stop")


def test_a_running_usage_counts_the_tokens_of_events_without_ids() -> None:
    stream, counts = fed([HEAD, chunk(message(None, usage=2)), chunk(message(None, usage=5))])
    assert counts == [0, 2, 3]
    assert stream.counted


def test_comments_fields_and_several_data_lines_are_understood() -> None:
    lines = b': ping\n\nevent: x\nid: 7\ndata: {"choices":[{"index":0,"text":"a",\ndata: "finish_reason":null}]}\n\n'
    stream, _ = fed([HEAD + chunk(lines)])
    assert stream.tokens == 1


def test_carriage_returns_alone_end_lines_too() -> None:
    data, tokens = answer([1, 2], newline=b"\r")
    stream, _ = fed([data])
    assert (stream.tokens, stream.failure) == (tokens, None)


def test_the_last_event_needs_no_empty_line() -> None:
    stream, _ = fed([HEAD + chunk(message(1)) + chunk(b"data: [DONE]") + b"0\r\n\r\n"])
    assert (stream.complete, stream.failure) == (True, None)


def test_an_interim_answer_is_skipped() -> None:
    stream, _ = fed([b"HTTP/1.1 100 Continue\r\n\r\n" * 3000 + answer([1])[0]])
    assert (stream.status, stream.tokens) == (200, 1)


def test_a_body_may_end_with_the_connection_or_with_its_length() -> None:
    body = message(2, "length") + b"data: [DONE]\n\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    stream, _ = fed([head + b"\r\n" + body])
    assert not stream.complete
    stream.closed()
    assert (stream.failure, stream.tokens, stream.reusable) == (None, 2, False)
    stream, _ = fed([head + b"Content-Length: %d\r\n\r\n" % len(body) + body])
    assert (stream.complete, stream.failure, stream.tokens, stream.reusable) == (True, None, 2, True)


def test_connection_close_forbids_another_request() -> None:
    data, _ = answer([1])
    stream, _ = fed([data.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)])
    assert (stream.complete, stream.reusable) == (True, False)


def test_the_engines_own_times_are_kept() -> None:
    last = b'data: {"choices":[],"metrics":{"queue_time_ms":1500,"time_to_first_token_ms":20,"mean_itl_ms":null}}\n\n'
    stream, _ = fed([HEAD + chunk(message(1)) + chunk(last)])
    assert (stream.queue_s, stream.prefill_s, stream.decode_s) == (1.5, 0.02, None)


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP/1.1 answer: SSH-2.0-OpenSSH_9.2"),
        (HEAD + b"xyz\r\n", "not a chunk's length: xyz"),
        (HEAD + b"-5\r\n", "not a chunk's length: -5"),
        (HEAD + chunk(b'data: {"choices":[\n\n'), 'malformed event: {"choices":['),
        (HEAD + chunk(b"data: [1]\n\n"), "malformed event: [1]"),
        (HEAD + chunk(b"data: " + b"[" * 100_000 + b"\n\n"), "malformed event: [[["),
        (HEAD + chunk(b'data: {"error":{"message":"EngineCore\\ndied"}}\n\n'), "error in the stream: EngineCore"),
        (HEAD + chunk(message(3)) + b"0\r\n\r\n", "the stream ended after 3 tokens without a finish"),
        (b'HTTP/1.1 404 X\r\nContent-Length: 32\r\n\r\n{"error":{"message":"no model"}}', "HTTP 404: no model"),
        (b'HTTP/1.1 422 \r\nContent-Length: 24\r\n\r\n{"detail":"bad request"}', "HTTP 422: bad request"),
        (b'HTTP/1.1 500 X\r\nContent-Length: 20\r\n\r\n{"message":"broken"}', "HTTP 500: broken"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "the server did not stream its answer: {}"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "bad Content-Length: x"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(data: bytes, failure: str) -> None:
    stream, _ = fed([data])
    assert stream.complete
    assert stream.failure is not None
    assert stream.failure.startswith(failure)
    assert "\n" not in stream.failure
    assert len(stream.failure) < 250


def test_the_text_of_an_error_is_found_in_every_usual_shape() -> None:
    for body in ({"error": {"message": "no"}}, {"message": "no"}, {"detail": "no"}, {"error": "no"}):
        text = json.dumps(body).encode()
        stream, _ = fed(
            [b"HTTP/1.1 503 X\r\nRetry-After: 2\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)]
        )
        assert (stream.failure, stream.retry_after_s, stream.reusable) == ("HTTP 503: no", 2.0, True)
