"""Requests as the bytes that go over the wire, made before they are due."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from framework.contracts import Json
from framework_vllm.client.load_contracts import LoadError, Target

DIALECTS: dict[str, dict[str, Json]] = {
    "vllm": {
        "temperature": 0.0,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
        "return_token_ids": True,
    },
    "openai": {"temperature": 0.0, "stream_options": {"include_usage": True}},
    "minimal": {},
}
"""Body keys beyond `model`, `prompt`, `max_tokens` and `stream`, by what a server knows, richest first.

`ignore_eos` with `max_tokens` fixes the length of an answer; `min_tokens` would add a logits processor to every
step of the engine and measure that too. `return_token_ids` makes an event say how many tokens it holds.
"""

_OURS = frozenset({"model", "prompt", "max_tokens", "stream"})


@dataclass(frozen=True)
class Endpoint:
    """Where a target's requests go: the parts of its URL.

    Attributes:
        host, port: to connect to.
        tls: whether the URL is `https`.
        path: of the completions endpoint.
        authority: value of the `Host` header.
    """

    host: str
    port: int
    tls: bool
    path: str
    authority: str

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """Take a target's URL apart; raises `LoadError` naming one that can't be used."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise LoadError(f"target {url!r}: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise LoadError(f"target {url!r}: write it as http://host:port")
        prefix = parts.path.rstrip("/").removesuffix("/v1")
        tls = parts.scheme == "https"
        authority = parts.netloc.rpartition("@")[2]
        return cls(parts.hostname, port or (443 if tls else 80), tls, f"{prefix}/v1/completions", authority)


@dataclass(frozen=True)
class RequestEncoder:
    """Turns a request of the workload into one HTTP message.

    Attributes:
        targets: the servers.
        adapter_names: adapter_id → served name.
        dialect: key of `DIALECTS`.
        extra_body: further body keys, which win over the dialect's.
        id_prefix: request r is known to the server as `<id_prefix>-<r>` (header `X-Request-Id`).
    """

    targets: Sequence[Target]
    adapter_names: Mapping[int, str]
    dialect: str
    extra_body: Mapping[str, Json]
    id_prefix: str
    _frames: dict[tuple[int, int], tuple[bytes, bytes]] = field(default_factory=dict)

    def encode(self, request_id: int, target: int, adapter: int, prompt: bytes, output_tokens: int) -> bytes:
        """Return head and body of a request.

        Args:
            request_id: of the workload.
            target: which server it goes to.
            adapter: adapter id; -1 is the base model.
            prompt: JSON list of token ids.
            output_tokens: to generate.
        """
        frame = self._frames.get((target, adapter))
        if frame is None:
            frame = self._frames[target, adapter] = self._frame(target, adapter)
        head, tail = frame
        body = b'{"prompt":%b,"max_tokens":%d,%b' % (prompt, output_tokens, tail)
        return b"%bX-Request-Id: %b-%d\r\nContent-Length: %d\r\n\r\n%b" % (
            head, self.id_prefix.encode(), request_id, len(body), body
        )  # fmt: skip

    def _frame(self, target: int, adapter: int) -> tuple[bytes, bytes]:
        """Return what all requests of a model on a target share: the head's start and the body's end."""
        server = self.targets[target]
        endpoint = Endpoint.of(server.url)
        model = server.model if adapter < 0 else self.adapter_names[adapter]
        keys = {"model": model, "stream": True, **DIALECTS[self.dialect], **self.extra_body}
        headers = {
            "Host": endpoint.authority,
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            **server.headers,
        }
        lines = [
            f"POST {endpoint.path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items()),
            "",
        ]
        return "\r\n".join(lines).encode("latin-1"), json.dumps(keys, separators=(",", ":")).encode()[1:]


def check_body_keys(extra_body: Mapping[str, Json], targets: Sequence[Target]) -> None:
    """Raise `LoadError` for body keys that are the client's own, and for headers that would break a message."""
    taken = sorted(_OURS & set(extra_body))
    if taken:
        raise LoadError(f"extra body key {taken[0]!r} is set by the client itself")
    try:
        json.dumps(dict(extra_body))
    except (TypeError, ValueError) as error:
        raise LoadError(f"extra body keys can't be written as JSON: {error}") from None
    for target in targets:
        for name, value in target.headers.items():
            if not f"{name}{value}".isprintable() or not f"{name}{value}".isascii() or ":" in name:
                raise LoadError(f"target {target.url}: header {name!r} can't be sent")
