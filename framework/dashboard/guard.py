"""Who may ask: a known host name, the same site, a token where one is needed; and what a browser may do with answers.

A page of another site can make a browser send requests to this machine, and a host name of an attacker can be made
to point at it (DNS rebinding). So a request must name a host that the server was started for, must not come from
another site as the browser says (`Sec-Fetch-Site`, `Origin`), and can only read: there is no method but GET and HEAD.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from framework.dashboard.address import RefusedError, link

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "framework_dashboard"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MOST_ADDRESS = 60_000
# plotly.js gives some texts of a figure a style attribute; style sheets and scripts within a page are forbidden.
_STYLE = "style-src 'self'; style-src-attr 'unsafe-inline'"
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'self'; {_STYLE}; img-src 'self' data: blob:; "
        "connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Admission:
    """Who is let in.

    Attributes:
        hosts: names under which the server may be asked.
        addresses: whether any IP address may stand for the host (no name, so no rebinding); only with a token.
        token: what a request must prove to know; None: nothing.
    """

    hosts: frozenset[str] = field(default_factory=lambda: frozenset(LOOPBACK))
    addresses: bool = False
    token: str | None = None

    def check(self, method: str, headers: MutableMapping[str, str]) -> None:
        """Raise `RefusedError` for a request that is not let in, whatever it asks for."""
        if method not in ("GET", "HEAD"):
            raise RefusedError(f"method {method[:20]} is refused: the dashboard only reads", 405)
        host = _host_name(headers.get("host", ""))
        if not (host in self.hosts or (self.addresses and _is_address(host))):
            raise RefusedError(f"host '{host[:80]}' is not one of this server's names", 421)
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin"):
            raise RefusedError(
                "the request comes from another site; open the dashboard by its address instead", 403
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
            raise RefusedError(f"origin '{origin[:80]}' is another site", 403)

    def knows_token(self, given: Iterable[str]) -> bool:
        """Return whether one of the texts is the token."""
        wanted = (self.token or "").encode()
        return any(hmac.compare_digest(text.encode(), wanted) for text in given)


class Guard:
    """ASGI application in front of another: lets requests in, and adds the headers to every answer."""

    def __init__(self, app: App, admission: Admission, refuse: Callable[[RefusedError], App]) -> None:
        self.app, self.admission, self.refuse = app, admission, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        app = self.app
        more: dict[str, str] = {}
        try:
            if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > _MOST_ADDRESS:
                raise RefusedError(f"the address is longer than {_MOST_ADDRESS:,} characters", 414)
            self.admission.check(scope["method"], headers)
            if self.admission.token is not None:
                if given := _token_in(scope):
                    app, more = self._signed_in(scope, given)
                elif not self.admission.knows_token(_presented(headers)):
                    raise RefusedError(
                        "this dashboard needs its token: open the address that the server printed", 401
                    )
        except RefusedError as error:
            app, more = self.refuse(error), {}

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message.get("headers", [])}
                added = {**_HEADERS, **more}
                if b"cache-control" not in there:
                    added["Cache-Control"] = "no-store"
                message["headers"] = [
                    *message.get("headers", []),
                    *((name.encode(), value.encode("latin-1")) for name, value in added.items()),
                ]
            await send(message)

        await app(scope, receive, with_headers)

    def _signed_in(self, scope: Scope, given: str) -> tuple[App, dict[str, str]]:
        """Return the answer to the address that the server printed: a cookie, and the address without the token."""
        if not self.admission.knows_token([given]):
            raise RefusedError("the token in the address is not the one that the server printed", 401)
        rest = [pair for pair in _pairs(scope) if pair[0] != "token"]
        path = quote(scope["path"])
        place = link("/" if path.startswith("//") or not path.startswith("/") else path, rest)  # of this site
        cookie = f"{COOKIE}={given}; HttpOnly; SameSite=Strict; Path=/"

        async def moved(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 303, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        return moved, {"Location": place, "Set-Cookie": cookie}


def _pairs(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _token_in(scope: Scope) -> str:
    return next((value for name, value in _pairs(scope) if name == "token"), "")


def _presented(headers: MutableMapping[str, str]) -> list[str]:
    found = []
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        cookies = SimpleCookie()
    if COOKIE in cookies:
        found.append(cookies[COOKIE].value)
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        found.append(value.strip())
    return found


def _host_name(host: str) -> str:
    """Return the name in a Host header in lower case, without the port; "" for what is none."""
    try:
        parts = urlsplit(f"//{host}")
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return ""
    plain = parts.netloc == host and not parts.username and not parts.path and port_is_valid
    return (parts.hostname or "") if plain else ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
