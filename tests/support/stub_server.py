"""A streaming completions server that does nothing but stream, and remembers exactly when it did.

For load and fault tests that an engine can't produce, and as the peer of `benchmarks/load_client.py`. It is a bare
epoll loop, because aiohttp spends 12 µs on a streamed token: at 64 streams of 32 tokens it would be the bottleneck
of what is to be measured.

    python tests/support/stub_server.py --port 0 --ttft-ms 20 --itl-ms 5 --capacity 256

prints `ready PORT`. `POST /v1/completions` streams `max_tokens` tokens; the body key `stub` asks for a fault
(`answers`). `GET /truth` returns {request id: [received, time of sending of each token …]} on the monotonic clock,
`GET /reset` forgets it.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

RESET, CLOSE, STALL = "reset", "close", "stall"
Step = tuple[float, "bytes | str", int]
"""Pause before it (s), bytes or one of the acts above, tokens in them."""

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_MAX_TOKENS = re.compile(rb'"max_tokens": ?(\d+)')
_LENGTH = re.compile(rb"\r\ncontent-length: ?(\d+)", re.IGNORECASE)
_ID = re.compile(rb"\r\nx-request-id: ?([^\r]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Pace:
    """How fast it answers: time to the first token once it has a place, between tokens, and places."""

    ttft_s: float
    itl_s: float
    capacity: int


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(ids: bytes, finish: bytes = b"null", text: bytes = b" a", end: bytes = b"\n\n") -> bytes:
    """Return an event as vLLM writes it; `ids` is empty for a server that does not list them."""
    listed = b',"prompt_token_ids":null,"token_ids":[%b]' % ids if ids else b""
    return (
        b'data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"stub","choices":[{"index":0,'
        b'"text":"%b","logprobs":null,"finish_reason":%b,"stop_reason":null%b}]}%b'
        % (text, finish, listed, end)
    )


def usage(prompt: int, tokens: int) -> bytes:
    return (
        b'data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"stub","choices":[],"usage":'
        b'{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}}\n\n'
        % (prompt, prompt + tokens, tokens)
    )


_TOKEN = {True: chunk(event(b"7")), False: chunk(event(b""))}
_DONE = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def ending(ids: bool, prompt: int, tokens: int) -> bytes:
    last = event(b"7" if ids else b"", b'"length"')
    return chunk(last) + chunk(usage(prompt, tokens)) + _DONE


def plain(pace: Pace, ids: bool, prompt: int, tokens: int) -> Iterator[Step]:
    """Yield an answer as it should be: one chunk a token."""
    token = _TOKEN[ids]
    wait = pace.ttft_s
    yield wait, _HEAD + (token if tokens > 1 else ending(ids, prompt, tokens)), 1
    for _ in range(tokens - 2):
        yield pace.itl_s, token, 1
    if tokens > 1:
        yield pace.itl_s, ending(ids, prompt, tokens), 1


def error(status: bytes, message: str, more: bytes = b"") -> bytes:
    body = json.dumps({"error": {"message": message, "type": "BadRequest", "code": int(status[:3])}}).encode()
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    return head % (status, more, len(body)) + body


def faulty(fault: str, pace: Pace, prompt: int, tokens: int, attempt: int) -> Iterator[Step]:
    """Yield the answer that a fault's name stands for."""
    token, half, rest = _TOKEN[True], tokens // 2, tokens - tokens // 2
    itl = pace.itl_s
    whole = b"".join(data for _, data, _ in plain(pace, True, prompt, tokens) if isinstance(data, bytes))
    start: Step = (pace.ttft_s, _HEAD + token, 1)
    some = [start, *[(itl, token, 1)] * (half - 1)]
    if fault == "http_500":
        yield 0, error(b"500 Internal Server Error", "engine died"), 0
    elif fault == "http_400":
        yield 0, error(b"400 Bad Request", "This model's maximum context length is 16 tokens"), 0
    elif fault == "http_422":
        yield 0, error(b"422 Unprocessable Entity", "unknown key ignore_eos"), 0
    elif fault == "busy":
        yield 0, error(b"429 Too Many Requests", "try later"), 0
    elif fault == "busy_once" and attempt == 1:
        yield 0, error(b"503 Service Unavailable", "try later", b"Retry-After: 0\r\n"), 0
    elif fault == "half_stream":
        yield from [*some, (itl, CLOSE, 0)]
    elif fault == "reset":
        yield from [*some, (itl, RESET, 0)]
    elif fault == "stall":
        yield from [*some, (itl, STALL, 0)]
    elif fault == "hang_up":
        yield 0, CLOSE, 0
    elif fault == "malformed":
        yield from [*some, (itl, chunk(b'data: {"choices":[{"text":"\n\n'), 0), (itl, CLOSE, 0)]
    elif fault == "error_event":
        failed = b'data: {"error":{"message":"EngineCore died","code":500}}\n\n'
        yield from [*some, (itl, chunk(failed) + _DONE, 0)]
    elif fault == "no_end":
        yield from [*some, (itl, b"0\r\n\r\n", 0)]
    elif fault == "garbage":
        yield 0, bytes(range(256)) * 4, 0
    elif fault == "not_streamed":
        body = b'{"choices":[{"text":"a"}]}'
        yield 0, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            len(body), body
        ), 0  # fmt: skip
    elif fault == "slow_head":
        for at in range(0, len(_HEAD), 16):
            yield 0.005, _HEAD[at : at + 16], 0
        yield from [(itl, token, 1)] * (tokens - 1)
        yield itl, ending(True, prompt, tokens), 1
    elif fault == "bytewise":
        for at in range(len(whole)):
            yield 0.0002, whole[at : at + 1], 0
    elif fault == "at_once":
        yield pace.ttft_s, whole, tokens
    elif fault == "multi_token":
        yield pace.ttft_s, _HEAD + chunk(event(b",".join([b"7"] * half))), half
        last = event(b",".join([b"7"] * rest), b'"length"')
        yield itl, chunk(last) + chunk(usage(prompt, tokens)) + _DONE, rest
    elif fault == "crlf":
        crlf_usage = b": bye\r\n\r\n" + usage(prompt, tokens).replace(b"\n", b"\r\n")
        yield 0, _HEAD + chunk(b": a comment\r\n\r\n"), 0
        yield from [(itl, chunk(event(b"7", end=b"\r\n\r\n")), 1)] * (tokens - 1)
        yield itl, chunk(event(b"7", b'"length"', end=b"\r\n\r\n")) + chunk(crlf_usage) + _DONE, 1
    elif fault == "no_ids":
        yield from plain(pace, False, prompt, tokens)
    elif fault == "no_ids_two_an_event":
        yield pace.ttft_s, _HEAD + _TOKEN[False], 2
        yield from [(itl, _TOKEN[False], 2)] * (tokens // 2 - 2)
        yield itl, ending(False, prompt, tokens), 2
    elif fault == "text_only":
        yield pace.ttft_s, _HEAD + _TOKEN[False], 1
        yield from [(itl, _TOKEN[False], 1)] * (tokens - 2)
        yield itl, chunk(event(b"", b'"length"')) + _DONE, 1
    elif fault == "close_after":
        yield from plain(pace, True, prompt, tokens)
        yield 0, CLOSE, 0
    else:
        yield from plain(pace, True, prompt, tokens)


class Client:
    """A connection of a client, and the answer under way on it."""

    __slots__ = ("answer", "buffer", "closed", "fd", "next", "sent_at", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.fd = sock, sock.fileno()
        self.buffer = b""
        self.answer: Iterator[Step] | None = None
        self.next: Step | None = None
        self.sent_at: list[float] = []
        self.closed = False


class StubServer:
    """One port, one thread."""

    def __init__(self, listener: socket.socket, pace: Pace) -> None:
        self.listener, self.pace = listener, pace
        self.poller = select.epoll()
        self.poller.register(listener.fileno(), select.EPOLLIN)
        self.clients: dict[int, Client] = {}
        self.due: list[tuple[float, int, Client]] = []
        self.now_due: deque[Client] = deque()  # those without a pause take turns
        self.waiting: deque[Client] = deque()
        self.running = self.serial = 0
        self.truth: dict[str, list[float]] = {}
        self.attempts: dict[str, int] = {}

    def serve(self) -> None:
        while True:
            if self.now_due:
                ready = self.poller.poll(0, 256)
            else:
                wait = self.due[0][0] - time.monotonic() if self.due else 1.0
                if wait > 0.002:
                    ready = self.poller.poll(wait - 0.001, 256)
                else:
                    if wait > 0:
                        select.select([self.poller.fileno()], [], [], wait)
                    ready = self.poller.poll(0, 256)
            for fd, _ in ready:
                if fd == self.listener.fileno():
                    self.accept()
                elif fd in self.clients:
                    self.readable(self.clients[fd])
            now = time.monotonic()
            for _ in range(64):
                if not self.due or self.due[0][0] > now:
                    break
                self.step(heappop(self.due)[2])
            for _ in range(min(64, len(self.now_due))):
                self.step(self.now_due.popleft())

    def accept(self) -> None:
        for _ in range(256):
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = Client(sock)
            self.clients[client.fd] = client
            self.poller.register(client.fd, select.EPOLLIN)

    def readable(self, client: Client) -> None:
        try:
            data = client.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close(client)
            return
        client.buffer += data
        end = client.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(client.buffer, 0, end)
        total = end + 4 + (int(length[1]) if length else 0)
        if len(client.buffer) >= total:
            head, body = client.buffer[: end + 2], client.buffer[end + 4 : total]
            client.buffer = client.buffer[total:]
            self.request(client, head, body)

    def request(self, client: Client, head: bytes, body: bytes) -> None:
        now = time.monotonic()
        path = head.split(b" ", 2)[1]
        if path == b"/truth":
            return self.reply(client, json.dumps(self.truth).encode())
        if path == b"/reset":
            self.truth.clear()
            self.attempts.clear()
            return self.reply(client, b"{}")
        if path != b"/v1/completions":
            return self.reply(client, b"{}")
        found = _ID.search(head)
        key = found[1].decode() if found else f"request-{len(self.truth)}"
        client.sent_at = self.truth[key] = [now]
        self.attempts[key] = self.attempts.get(key, 0) + 1
        asked = _MAX_TOKENS.search(body)
        tokens = int(asked[1]) if asked else 16
        if b'"stub":' in body:
            message = json.loads(body)
            fault = message["stub"]
            if fault == "strict" and "ignore_eos" in message:
                fault = "http_422"
            client.answer = faulty(fault, self.pace, len(message["prompt"]), tokens, self.attempts[key])
        else:
            prompt = body.count(b",", 0, body.find(b"]")) + 1
            client.answer = plain(self.pace, b'"return_token_ids"' in body, prompt, tokens)
        if self.running < self.pace.capacity:
            self.begin(client, now)
        else:
            self.waiting.append(client)

    def reply(self, client: Client, body: bytes) -> None:
        client.sock.setblocking(True)
        client.sock.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        client.sock.setblocking(False)

    def begin(self, client: Client, now: float) -> None:
        self.running += 1
        self.plan(client, now)

    def plan(self, client: Client, now: float) -> None:
        """Take the next step of an answer; at its end the next client that waits has its turn."""
        assert client.answer is not None
        client.next = next(client.answer, None)
        if client.next is None:
            self.finished(client, now)
        elif client.next[0] > 0:
            self.serial += 1
            heappush(self.due, (now + client.next[0], self.serial, client))
        else:
            self.now_due.append(client)

    def finished(self, client: Client, now: float) -> None:
        client.answer = None
        self.running -= 1
        while self.waiting and self.running < self.pace.capacity:
            following = self.waiting.popleft()
            if not following.closed:
                self.begin(following, now)

    def step(self, client: Client) -> None:
        if client.closed or client.next is None:
            return
        now = time.monotonic()
        pause, data, tokens = client.next
        if isinstance(data, str):
            if data == STALL:
                return
            if data == RESET:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close(client)
            return
        try:
            sent = client.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close(client)
            return
        if sent < len(data):
            client.next = (pause, data[sent:], tokens)
            self.serial += 1
            heappush(self.due, (now + 0.001, self.serial, client))
            return
        client.sent_at.extend([now] * tokens)
        self.plan(client, now)

    def close(self, client: Client) -> None:
        if client.closed:
            return
        client.closed = True
        del self.clients[client.fd]
        client.sock.close()
        if client.answer is not None and client.next is not None:
            self.finished(client, time.monotonic())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ttft-ms", type=float, default=0.0)
    parser.add_argument("--itl-ms", type=float, default=0.0)
    parser.add_argument("--capacity", type=int, default=1 << 30, help="answers under way at once")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listener = socket.create_server((options.host, options.port), backlog=4096)
    listener.setblocking(False)
    print(f"ready {listener.getsockname()[1]}", flush=True)
    pace = Pace(options.ttft_ms / 1e3, options.itl_ms / 1e3, options.capacity)
    try:
        StubServer(listener, pace).serve()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
