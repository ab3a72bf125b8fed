"""Requests that a page of another site, another host name or a crafted address would send."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from framework.dashboard.guard import Admission
from framework.dashboard.web_server import Listening
from framework.errors import ConfigError
from tests.framework.dashboard.conftest import HOSTILE, SCRIPT, Client
from tests.framework.dashboard.test_sql_attacks import said

TOKEN = "a-token-of-twenty-four-x"

ADDRESSES = [
    ("/run/../../../etc/passwd", 404),
    ("/run/..%2f..%2fetc%2fpasswd", 404),
    ("/run/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404),
    ("/assets/../../pyproject.toml", 404),
    ("/assets/..%2f..%2fguard.py", 404),
    ("/assets/%2e%2e%2fdesk.py", 404),
    ("/assets/dashboard.css%00.py", 404),
    ("/run/2026-00000/file?path=../../../../../../etc/passwd", 404),
    ("/run/2026-00000/file?path=/etc/passwd", 404),
    ("/run/2026-00000/file?path=artifacts/log/../../run.json", 404),
    ("/run/2026-00000/file?path=run.json", 404),
    ("/run/2026-00000/file?path=artifacts/log/engine.log%00.txt", 400),
    ("/run/2026-00000/file", 404),
    ("/run/nothing", 404),
    ("/run/' OR 1=1 --", 404),
    ("/runs?experiment=' OR '1'='1", 200),
    ("/runs?sort=started_at;DROP TABLE runs", 400),
    ("/runs?sort=(SELECT 1)", 400),
    ('/runs?sort=run_id" DESC; --', 400),
    ("/runs?order=asc; DROP TABLE runs", 400),
    ("/runs?show=run_id) FROM read_text('/etc/passwd') --", 400),
    ("/runs?page=0", 400),
    ("/runs?page=-1", 400),
    ("/runs?page=1e9", 400),
    ("/runs?page=99999999999999999999", 400),
    ("/runs?page=1;SELECT", 400),
    ("/runs?page=1&page=2", 400),
    ("/runs?q=x.y)=1", 200),
    ("/runs?q=total_tok_s<abc", 400),
    ("/runs?q=nosuch<1", 400),
    ("/runs?q=" + "+".join(["a"] * 100), 400),
    ("/runs?q=" + "a" * 30_000, 414),
    ("/runs?" + "a" * 62_000, 414),
    ("/runs?unknown=1", 400),
    ("/runs?q=%00", 400),
    ("/sql/rows.exe?q=SELECT 1", 404),
    ("/sql/rows.csv", 400),
    ("/sql?q=SELECT 1&q=SELECT 2", 400),
    ("/.git/config", 404),
    ("/framework.duckdb", 404),
    ("//example.org/", 404),
]


@pytest.mark.parametrize(("address", "status"), ADDRESSES)
def test_a_crafted_address_is_refused_in_one_line(here: TestClient, address: str, status: int) -> None:
    path, _, query = address.partition("?")
    answer = here.get(f"http://localhost:8765{quote(path, safe='/%')}{'?' + query if query else ''}")
    assert answer.status_code == status
    assert "root:" not in answer.text
    if status == 200:
        assert "No run matches" in answer.text
    else:
        assert "\n" not in said(answer.text)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8765", "localhost.evil.example", "127.0.0.1.evil.example"),
        *(
            "",
            "localhost@evil.example",
            "evil.example#localhost",
            "localhost:port",
            "[::1",
            "192.168.0.7",
            "0.0.0.0",
        ),
        *("localhost/..", "localhost:8765:8765", "xn--localhost-x.com"),
    ],
)
def test_a_host_name_that_is_not_ours_is_refused(client: Client, host: str) -> None:
    answer = client().get("/runs", headers={"host": host})
    assert answer.status_code == 421
    assert said(answer.text).startswith("host '")


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:8765", "[::1]:8765", "LOCALHOST"])
def test_names_of_this_machine_are_let_in(client: Client, host: str) -> None:
    assert client().get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_a_request_from_another_site_is_refused(client: Client, site: str) -> None:
    answer = client().get("/sql?q=SELECT 1", headers={"sec-fetch-site": site})
    assert answer.status_code == 403
    assert "another site" in said(answer.text)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:9999", "https://localhost.evil"]
)
def test_an_origin_that_is_not_ours_is_refused(client: Client, origin: str) -> None:
    answer = client().get("/", headers={"origin": origin})
    assert answer.status_code == 403
    assert "another site" in said(answer.text)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_nothing_but_reading_is_allowed(here: TestClient, method: str) -> None:
    assert here.request(method, "/sql").status_code == 405


def test_every_answer_forbids_scripts_and_frames_of_others(here: TestClient) -> None:
    for address in (
        "/",
        "/runs",
        "/run/2026-00000",
        "/sql",
        "/assets/plotly.js",
        "/nothing",
        "/runs?unknown=1",
    ):
        headers = here.get(address).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "style-src 'self';" in policy
        assert policy.count("unsafe") == 1  # attributes that plotly.js sets
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_names_and_texts_of_the_store_are_never_markup(here: TestClient) -> None:
    pages = ["/", "/runs", f"/runs?experiment={quote(HOSTILE)}", "/run/2026-99999", "/run/2026-00021"]
    pages += [f"/runs?q={quote(HOSTILE)}", "/sql?q=SELECT experiment, failure_log FROM runs"]
    pages += [f"/sql?q=SELECT '{quote(SCRIPT)}' AS \"{quote(SCRIPT)}\"", f"/sql?q={quote(SCRIPT)}"]
    for address in pages:
        text = here.get(address).text
        assert "<script>alert" not in text, address
        assert "<img src=x" not in text, address


def test_no_page_has_a_script_or_style_of_its_own(here: TestClient) -> None:
    for address in ("/", "/runs", "/run/2026-00000", "/sql?q=SELECT 1"):
        text = here.get(address).text
        inline = [tag for tag in re.findall(r"<script[^>]*>", text) if "src=" not in tag]
        assert all('type="application/json"' in tag for tag in inline), address
        assert "<style" not in text
        assert not re.search(r"<[^>\"]*\s(on\w+|style)=|\"javascript:", text), address


def test_a_kept_file_is_downloaded_never_shown(here: TestClient) -> None:
    answer = here.get("/run/2026-00000/file?path=artifacts/log/engine.log")
    assert answer.status_code == 200
    assert answer.content.decode() == f"began\n{SCRIPT}\n"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"] == "application/octet-stream"


def test_with_a_token_every_address_needs_it(client: Client) -> None:
    strict = client(Admission(token=TOKEN))
    for address in ("/", "/runs", "/sql?q=SELECT 1", "/assets/report.css", "/run/2026-00000"):
        assert strict.get(address).status_code == 401
    for wrong in ("x", TOKEN[:-1], TOKEN + "x", "é"):
        assert strict.get(f"/?token={quote(wrong)}").status_code == 401
        assert strict.get("/", headers={"authorization": f"Bearer {quote(wrong)}"}).status_code == 401
    assert strict.get("/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_token_moves_from_the_address_into_a_cookie(client: Client) -> None:
    strict = client(Admission(token=TOKEN))
    answer = strict.get(f"/runs?q=opt&token={TOKEN}")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/runs?q=opt"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=Strict" in answer.headers["set-cookie"]
    assert strict.get("/runs?q=opt").status_code == 200


@pytest.mark.parametrize("path", ["//evil.example", "/%5Cevil.example", "//evil.example/%2e%2e"])
def test_the_address_without_the_token_never_leads_elsewhere(client: Client, path: str) -> None:
    answer = client(Admission(token=TOKEN)).get(f"http://localhost:8765{path}?token={TOKEN}")
    assert re.fullmatch(r"/([^/\\].*)?", answer.headers["location"])


def test_only_a_server_for_this_machine_alone_goes_without_a_token() -> None:
    assert Listening().admission().token is None
    for host in ("0.0.0.0", "::", "192.168.0.7", "lab.example"):
        admission = Listening(host).admission()
        assert admission.token is not None
        assert len(admission.token) >= 24
    assert Listening("0.0.0.0").admission().token != Listening("0.0.0.0").admission().token


def test_a_short_or_odd_token_is_refused() -> None:
    for token in ("short", "with space and more text", "x" * 300, "ümlaut-token-of-many"):
        with pytest.raises(ConfigError, match="--token"):
            Listening("0.0.0.0", token=token).admission()
