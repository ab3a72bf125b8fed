"""One streamed answer, parsed from bytes as they come: HTTP/1.1, chunks, server-sent events, tokens.

Nothing is decoded that need not be: an event of vLLM is recognised by a byte scan, and JSON is parsed only for
the few events that end a stream, carry the usage or come from a server that does not list token ids. Whatever a
server sends, `feed` does not raise: it ends with a `failure`.
"""

from __future__ import annotations

import json
from typing import Final

from framework_vllm.client.wire.event_text import data_of, error_text, excerpt, line_feeds

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_EVENT_BYTES: Final = 64 * 1024 * 1024

_HEAD, _CHUNKS, _TRAILERS, _LENGTH, _UNTIL_CLOSE = range(5)

_TOKEN_IDS: Final = b'"token_ids":['
_RUNNING: Final = b'"finish_reason":null'


class CompletionStream:
    """Parser of one response of `/v1/completions`, fed with whatever pieces the network gives.

    Attributes:
        status: HTTP status; 0 before the head has come.
        tokens: tokens seen so far.
        events: events that brought tokens.
        counted: False once an event did not say how many tokens it holds and was taken as one.
        prompt_tokens, completion_tokens: the server's usage; None if it gave none.
        finish_reason: of the choice; None while it runs.
        complete: the message is over; nothing more belongs to it.
        reusable: the connection can take another request.
        failure: one line on what went wrong; None if nothing did.
        queue_s, prefill_s, decode_s: the engine's own times of the request: waiting, from being scheduled to the
            first token, from there to the last (vLLM's `--enable-per-request-metrics`); None if it gave none.
        retry_after_s: what the server asked for with a 429 or 503.
        begun: any byte of the answer has come.
    """

    __slots__ = (
        "_done", "_event_stream", "_raw", "_remaining", "_state", "_text", "begun", "complete",
        "completion_tokens", "counted", "decode_s", "events", "failure", "finish_reason", "prefill_s",
        "prompt_tokens", "queue_s", "retry_after_s", "reusable", "status", "tokens",
    )  # fmt: skip

    def __init__(self) -> None:
        self.status = 0
        self.tokens = 0
        self.events = 0
        self.counted = True
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.finish_reason: str | None = None
        self.complete = False
        self.reusable = True
        self.failure: str | None = None
        self.queue_s: float | None = None
        self.prefill_s: float | None = None
        self.decode_s: float | None = None
        self.retry_after_s: float | None = None
        self.begun = False
        self._done = False
        self._event_stream = False
        self._state = _HEAD
        self._raw = b""  # of the HTTP framing, not yet whole
        self._text = b""  # of the event stream (or the error's body), not yet whole
        self._remaining = 0  # bytes of the chunk with its CRLF, or of the body, still to come

    def feed(self, data: bytes) -> int:
        """Take bytes as they came; return the number of tokens in them."""
        state = self._state
        if state == _CHUNKS:
            if data.endswith(b"}\n\n\r\n") and not (self._remaining or self._raw or self._text):
                tokens = self._lone_event(data)
                if tokens:
                    return tokens
            if self._raw:
                data, self._raw = self._raw + data, b""
            return self._chunks(data)
        self.begun = True
        if self._raw:
            data, self._raw = self._raw + data, b""
        if self.complete:
            self.reusable = False  # bytes that belong to no answer
            return 0
        if state == _HEAD:
            return self._head(data)
        if state == _LENGTH:
            return self._length(data)
        if state == _TRAILERS:
            return self._trailers(data)
        return self._payload(data)

    def _lone_event(self, data: bytes) -> int:
        """Return the tokens of what nearly every read holds: one whole chunk with one event of a running answer.

        0 if it is anything else. Nothing here is cut out of `data` but the few bytes that are numbers.
        """
        start = data.find(b"\r\n")
        end = len(data) - 4
        try:
            if int(data[:start], 16) != len(data) - start - 4:
                return 0
        except ValueError:
            return 0
        if (
            not data.startswith(b"data: {", start + 2)
            or data.find(b"\n", start + 2) != end
            or _RUNNING not in data
        ):
            return 0
        ids = data.find(_TOKEN_IDS, start)
        if ids < 0:
            return 0
        ids += len(_TOKEN_IDS)
        last = data.find(b"]", ids)
        if last == ids:
            return 0
        tokens = data.count(b",", ids, last) + 1
        self.tokens += tokens
        self.events += 1
        return tokens

    def closed(self) -> int:
        """Note that the server closed the connection; return tokens that only now are known to be whole."""
        self.reusable = False
        if self.complete:
            return 0
        if self._state == _UNTIL_CLOSE:
            return self._end()
        if not self._done and self.failure is None:
            self.failure = self._torn()
        self.complete = True
        return 0

    def _torn(self) -> str:
        if not self.begun:
            return "the server closed the connection before it answered"
        if self.status == 0:
            return "the server closed the connection while sending the header of its answer"
        if self.status != 200:
            return self._http_failure()
        return f"the server closed the connection in the middle of the stream, after {self.tokens} tokens"

    def _fail(self, reason: str) -> int:
        if self.failure is None:
            self.failure = reason
        self.complete = True
        self.reusable = False
        return 0

    def _head(self, data: bytes) -> int:
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return self._part_of_head(data)
            first, *lines = data[:end].split(b"\r\n")
            parts = first.split(b" ", 2)
            if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not _is_status(parts[1]):
                return self._fail(f"not an HTTP/1.1 answer: {excerpt(first)}")
            data = data[end + 4 :]
            if parts[1][:1] == b"1":
                continue  # an interim answer, such as 100 Continue
            self.status = int(parts[1])
            fields = (line.partition(b":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, _, value in fields}
            return self._body(parts[0], headers, data)
        return 0

    def _part_of_head(self, data: bytes) -> int:
        if len(data) > MAX_HEAD_BYTES:
            return self._fail(f"the header of the answer is longer than {MAX_HEAD_BYTES} bytes")
        if data[:7] != b"HTTP/1."[: len(data)]:
            return self._fail(f"not an HTTP/1.1 answer: {excerpt(data)}")
        self._raw = data
        return 0

    def _body(self, version: bytes, headers: dict[bytes, bytes], rest: bytes) -> int:
        """Choose how the body ends (RFC 9112, section 6.3) and take its first bytes."""
        connection = headers.get(b"connection", b"").lower()
        self.reusable = b"close" not in connection and (version == b"HTTP/1.1" or b"keep-alive" in connection)
        self._event_stream = b"text/event-stream" in headers.get(b"content-type", b"").lower()
        self.retry_after_s = _seconds(headers.get(b"retry-after"))
        length = headers.get(b"content-length")
        if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
            self._state = _CHUNKS
            return self._chunks(rest)
        if length is None:
            if self.status in (204, 304):
                return self._end()
            self._state = _UNTIL_CLOSE
            self.reusable = False
            return self._payload(rest)
        if not length.isdigit() or len(length) > 18:
            return self._fail(f"bad Content-Length: {excerpt(length)}")
        self._state = _LENGTH
        self._remaining = int(length)
        return self._length(rest)

    def _chunks(self, data: bytes) -> int:
        """Take bytes of a chunked body (RFC 9112, section 7.1)."""
        tokens = position = 0
        end = len(data)
        remaining = self._remaining
        while position < end and not self.complete:
            if remaining == 0:
                line_end = data.find(b"\n", position)
                if line_end < 0:
                    self._raw = data[position:]
                    if end - position > MAX_HEAD_BYTES:
                        self._fail("a chunk's length has no end")
                    break
                line = data[position:line_end]
                try:
                    size = int(line, 16)
                except ValueError:
                    size = _chunk_size(line)
                if size <= 0:
                    if size == 0:
                        self._state = _TRAILERS
                        return tokens + self._trailers(data[line_end + 1 :])
                    return tokens + self._fail(f"not a chunk's length: {excerpt(line)}")
                remaining = size + 2  # with the CRLF that closes it
                position = line_end + 1
            taken = min(remaining, end - position)
            content = min(taken, remaining - 2)
            if content > 0:
                tokens += self._payload(data[position : position + content])
            position += taken
            remaining -= taken
        self._remaining = remaining
        return tokens

    def _trailers(self, data: bytes) -> int:
        """Skip trailer fields up to the empty line that ends the message."""
        while True:
            line_end = data.find(b"\n")
            if line_end < 0:
                self._raw = data
                return self._fail("the trailers have no end") if len(data) > MAX_HEAD_BYTES else 0
            line, data = data[:line_end], data[line_end + 1 :]
            if not line.strip():
                if data:
                    self.reusable = False
                return self._end()

    def _length(self, data: bytes) -> int:
        mine = data[: self._remaining]
        if len(data) > len(mine):
            self.reusable = False
        self._remaining -= len(mine)
        tokens = self._payload(mine)
        if self._remaining == 0 and not self.complete:
            tokens += self._end()
        return tokens

    def _payload(self, data: bytes) -> int:
        """Take bytes of the body: events of a stream that works, or the text of an error."""
        text = self._text + data if self._text else data
        if self.status != 200 or not self._event_stream:
            self._text = text[:MAX_HEAD_BYTES]
            return 0
        if b"\r" in text:
            text = line_feeds(text)
        last = text.rfind(b"\n\n")
        if last < 0:
            self._text = text
            return self._fail("an event has no end") if len(text) > MAX_EVENT_BYTES else 0
        self._text = text[last + 2 :]
        tokens = 0
        for event in text[:last].split(b"\n\n"):
            if not self.complete:
                tokens += self._event(event)
        return tokens

    def _event(self, event: bytes) -> int:
        data = event[6:] if event.startswith(b"data: ") and b"\n" not in event else data_of(event)
        ids = data.find(_TOKEN_IDS)
        if ids >= 0 and _RUNNING in data and data.endswith(b"}") and data.startswith(b"{"):
            start = ids + len(_TOKEN_IDS)
            inner = data[start : data.find(b"]", start)]
            tokens = inner.count(b",") + 1 if inner else 0
            self.tokens += tokens
            self.events += tokens > 0
            return tokens
        if not data:
            return 0
        if data.strip() == b"[DONE]":
            self._done = True
            return 0
        return self._message(data)

    def _message(self, data: bytes) -> int:
        """Take an event that needs JSON: the last one, the usage, an error, another server's dialect."""
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            return self._fail(f"malformed event: {excerpt(data)}")
        if not isinstance(message, dict):
            return self._fail(f"malformed event: {excerpt(data)}")
        if message.get("error"):
            return self._fail(f"error in the stream: {error_text(message)}")
        if isinstance(message.get("metrics"), dict):
            self._engine_times(message["metrics"])
        usage = message.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        choices = message.get("choices")
        tokens = 0
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            tokens = self._choice(choices[0], _whole(usage.get("completion_tokens")))
        self.prompt_tokens = _whole(usage.get("prompt_tokens"), self.prompt_tokens)
        self.completion_tokens = _whole(usage.get("completion_tokens"), self.completion_tokens)
        self.tokens += tokens
        self.events += tokens > 0
        return tokens

    def _engine_times(self, metrics: dict[str, object]) -> None:
        self.queue_s = _from_ms(metrics.get("queue_time_ms"))
        self.prefill_s = _from_ms(metrics.get("time_to_first_token_ms"))  # counted from being scheduled
        self.decode_s = _from_ms(metrics.get("generation_time_ms"))

    def _choice(self, choice: dict[str, object], tokens_so_far: int | None) -> int:
        """Return the tokens of a choice: its token ids, else a running usage, else one an event."""
        reason = choice.get("finish_reason")
        if isinstance(reason, str):
            self.finish_reason = reason
        ids = choice.get("token_ids")
        if isinstance(ids, list):
            return len(ids)
        if tokens_so_far is not None:
            return max(0, tokens_so_far - self.tokens)
        holds_one = bool(choice.get("text")) or reason is None
        self.counted &= not holds_one
        return int(holds_one)

    def _flush(self) -> int:
        """Take the last event of a server that does not close it with an empty line."""
        text, self._text = self._text, b""
        return self._event(line_feeds(text).strip(b"\n")) if self._event_stream and text.strip() else 0

    def _end(self) -> int:
        """Judge the message, which is now whole."""
        tokens = 0
        if self.status != 200:
            self.failure = self._http_failure()
        elif not self._event_stream:
            self.failure = f"the server did not stream its answer: {excerpt(self._text)}"
        else:
            tokens = self._flush()
            if self.failure is None and not self._done and self.finish_reason is None:
                self.failure = (
                    f"the stream ended after {self.tokens} tokens without a finish reason or [DONE]"
                )
        self.complete = True
        return tokens

    def _http_failure(self) -> str:
        try:
            text = error_text(json.loads(self._text))
        except (ValueError, RecursionError):
            text = excerpt(self._text)
        return f"HTTP {self.status}: {text}" if text else f"HTTP {self.status}"


def _is_status(word: bytes) -> bool:
    return len(word) == 3 and word.isdigit() and word[:1] in b"12345"


def _chunk_size(line: bytes) -> int:
    """Return the length in a chunk's first line that has extensions; -1 if there is none."""
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        return -1


def _whole(value: object, otherwise: int | None = None) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**31 else otherwise


def _from_ms(value: object) -> float | None:
    return value / 1e3 if isinstance(value, int | float) and 0 <= value < 1e12 else None


def _seconds(value: bytes | None) -> float | None:
    """Return a Retry-After given in seconds; its date form is left alone."""
    return float(value) if value is not None and value.isdigit() and len(value) < 6 else None
