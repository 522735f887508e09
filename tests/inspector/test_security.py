"""Requests that an inspector refuses, and the headers of every answer."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator

import pytest
from tests.inspector.clients import TOKEN, Client, check_schema

from typedbus import LOG, Bus
from typedbus.inspector import HostError, HostsNeeded, Inspector, TokenNeeded
from typedbus.servers.serving import SettingError

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
DATA = ("snapshot", "start", "graph", "threads", "settings", "health", "failures/1")


@pytest.fixture
def inspector() -> Iterator[Inspector]:
    """An inspector that serves, on a bus without a container."""
    inspector = Inspector(Bus(), token=TOKEN)
    inspector.start()
    yield inspector
    inspector.close()


@pytest.mark.parametrize("path", DATA)
def test_data_needs_the_token(inspector: Inspector, path: str) -> None:
    """Neither no token nor a wrong one gets anything."""
    port = Client.of(inspector).port

    for token in (None, "", TOKEN[:-1], TOKEN + "x", "é" * 20):
        status, _, body = Client(port, token).request(
            f"/api/v1/{path}",
            headers={} if token is None else {"X-Typedbus-Token": token.encode("latin-1").decode("latin-1")},
        )
        assert status == 401
        check_schema(path, status, body)


def test_a_probe_needs_the_token(inspector: Inspector) -> None:
    """The only POST calls checks, and is refused as well."""
    client = Client(Client.of(inspector).port, None)

    assert client.request("/api/v1/probe", method="POST")[0] == 401


def test_the_token_in_a_cookie_or_the_query_is_ignored(inspector: Inspector) -> None:
    """A browser sends cookies with requests of other sites, and query strings are logged."""
    client = Client(Client.of(inspector).port, None)

    status, headers, _ = client.request(
        f"/api/v1/snapshot?token={TOKEN}", headers={"Cookie": f"token={TOKEN}", "Authorization": f"Bearer {TOKEN}"}
    )

    assert status == 401
    assert "set-cookie" not in headers


@pytest.mark.parametrize("path", ["/", "/style.css", "/api/v1/snapshot", "/nothing"])
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1.evil.example:{port}",
        "localhost.:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.2:{port}",
        "user@127.0.0.1:{port}",
        "127.0.0.1:{port}:{port}",
        "127.0.0.1:{port}/",
        "[::1",
        "",
    ],
)
def test_a_foreign_host_is_refused_on_every_path(inspector: Inspector, host: str, path: str) -> None:
    """A name that resolves to this machine does not make its page a page of this machine."""
    client = Client.of(inspector)

    status, _, body = client.request(path, headers={"Host": host.format(port=client.port)})

    assert status == 421
    assert b"host" in body


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "LOCALHOST:{port}"])
def test_the_names_of_this_machine_are_accepted_with_the_port(inspector: Inspector, host: str) -> None:
    """Loopback addresses and localhost, in any case."""
    client = Client.of(inspector)

    assert client.request("/api/v1/health", headers={"Host": host.format(port=client.port)})[0] == 200


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"GET /api/v1/health HTTP/1.1\r\n\r\n", 421),
        (b"GET /api/v1/health HTTP/1.1\r\nHost: localhost:%d\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET /api/v1/health HTTP/1.1\r\nHost: evil.example\r\nHost: localhost:%d\r\n\r\n", 421),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", 431),
        (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost:%d\r\nX: " + b"a" * 20000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost:%d\r\nX: " + b"a" * 70000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 200 + b"Host: localhost:%d\r\n\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: localhost:%d\r\n\r\n", 505),
    ],
)
def test_requests_that_no_page_sends_get_an_answer_with_all_headers(
    inspector: Inspector, request_text: bytes, status: int
) -> None:
    """Whatever is wrong, the answer has the headers that every answer has."""
    client = Client.of(inspector)

    answer = client.raw(request_text % client.port if b"%d" in request_text else request_text)

    assert answer.startswith(b"HTTP/1.0 %d " % status)
    assert f"Content-Security-Policy: {CSP}\r\n".encode() in answer


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "X"])
@pytest.mark.parametrize("path", ["/api/v1/snapshot", "/api/v1/settings"])
def test_data_is_read_with_get_alone(inspector: Inspector, method: str, path: str) -> None:
    """A preflight of another site is refused as well, so it may not send the token."""
    status, headers, _ = Client.of(inspector).request(path, method=method, headers={"Origin": "https://evil.example"})

    assert (status, headers["allow"]) == (405, "GET")
    assert not any(name.startswith("access-control") for name in headers)


def test_a_probe_is_made_with_post_alone(inspector: Inspector) -> None:
    """A link cannot call checks."""
    status, headers, _ = Client.of(inspector).request("/api/v1/probe")

    assert (status, headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("body", [b"x" * 4097, b"x" * 60000])
def test_long_bodies_are_refused(inspector: Inspector, body: bytes) -> None:
    """The only POST needs no body."""
    assert Client.of(inspector).request("/api/v1/probe", method="POST", body=body)[0] == 413


def test_a_body_without_a_length_is_refused(inspector: Inspector) -> None:
    """Otherwise it could be of any length."""
    client = Client.of(inspector)
    head = f"POST /api/v1/probe HTTP/1.1\r\nHost: localhost:{client.port}\r\nX-Typedbus-Token: {TOKEN}\r\n"

    assert client.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode()).startswith(b"HTTP/1.0 411 ")
    assert client.raw(f"{head}Content-Length: many\r\n\r\n".encode()).startswith(b"HTTP/1.0 411 ")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/v1/health", 200), ("/api/v1/nothing", 404), ("/api/v1/failures/1", 404), ("/api/v1/snapshot?since=x", 200)],
)
def test_every_answer_has_the_headers(inspector: Inspector, path: str, status: int) -> None:
    """No script of elsewhere, no sniffing, no cache, no referrer, no other origin."""
    found, headers, _ = Client.of(inspector).request(path)

    assert found == status
    assert headers["content-security-policy"] == CSP
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


def test_the_page_and_its_files_need_no_token(inspector: Inspector) -> None:
    """They have no data, and a browser cannot send a header when it opens an address."""
    client = Client(Client.of(inspector).port, None)
    folder = importlib.resources.files("typedbus.inspector").joinpath("page")
    names = sorted(file.name for file in folder.iterdir())
    kinds = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}

    for name in ["", *names]:
        status, headers, body = client.request(f"/{name}")
        assert status == 200
        assert body == folder.joinpath(name or "index.html").read_bytes()
        kind = (name or "index.html").rpartition(".")[2]
        assert headers["content-type"] == kinds.get(kind, "text/javascript; charset=utf-8")
        assert headers["content-security-policy"] == CSP
        assert client.request(f"/{name}", method="POST")[0] == 405
    assert "index.html" in names


@pytest.mark.parametrize(
    "path",
    [
        "/../schema.json",
        "/page/index.html",
        "/%2e%2e/schema.json",
        "//etc/passwd",
        "/schema.json",
        "/__init__.py",
        "/index.html/",
        "/api/v1/",
        "/api/v1/failures/",
        "/api/v1/failures/1/2",
        "/api/v1/failures/-1",
        "/api/v1/failures/" + "9" * 100,
    ],
)
def test_other_paths_have_nothing(inspector: Inspector, path: str) -> None:
    """No path names a file."""
    assert Client.of(inspector).request(path)[0] == 404


def test_an_address_beyond_this_machine_needs_a_token() -> None:
    """Without, the inspector is refused where it is declared."""
    with pytest.raises(TokenNeeded, match="'0.0.0.0:0'.*reached from other machines.*at least 16") as caught:
        Inspector(Bus(), bind="0.0.0.0:0")

    assert caught.value.where == "an inspector on '0.0.0.0:0'"


@pytest.mark.parametrize("token", ["x" * 15, "", "with space in the token", "ünicode-token-of-enough-characters"])
def test_a_weak_token_is_refused_and_not_shown(token: str) -> None:
    """The text of the error may be logged."""
    with pytest.raises(TokenNeeded) as caught:
        Inspector(Bus(), token=token)

    assert not token or token not in str(caught.value)


def test_every_interface_needs_hosts() -> None:
    """Otherwise each request from another machine would be refused."""
    with pytest.raises(HostsNeeded, match="hosts="):
        Inspector(Bus(), bind=":0", token=TOKEN)


@pytest.mark.parametrize("host", ["http://shop.example", "a b", "shop.example:port", "*", ""])
def test_a_host_that_no_request_has_is_refused(host: str) -> None:
    """The error names the member."""
    with pytest.raises(HostError) as caught:
        Inspector(Bus(), hosts=["localhost", host])

    assert caught.value.given == host


def test_an_invalid_address_is_refused_where_the_inspector_is_declared() -> None:
    """As for servers."""
    with pytest.raises(SettingError):
        Inspector(Bus(), bind="banana")


def test_hosts_are_accepted_with_their_port_or_with_any() -> None:
    """A proxy may have another port than the inspector."""
    inspector = Inspector(Bus(), token=TOKEN, hosts=["shop.example", "other.example:8443"])
    inspector.start()
    client = Client.of(inspector)

    def status(host: str) -> int:
        return client.request("/api/v1/health", headers={"Host": host})[0]

    statuses = [status(host) for host in ("shop.example", "Shop.Example:1", "other.example:8443", "other.example:1")]
    inspector.close()

    assert statuses == [200, 200, 200, 421]


def test_the_random_token_is_in_the_message_with_the_address_and_not_in_the_repr() -> None:
    """Each inspector has its own, of 32 random bytes."""
    urls = []
    for _ in range(2):
        bus = Bus()
        lines: list[str] = []
        bus.subscribe(LOG, lambda text, level: lines.append(text))
        inspector = Inspector(bus)
        inspector.start()
        address, _, token = lines[0].removeprefix("inspector: ").partition("#")
        assert address == inspector.url
        assert Client(Client.of(inspector).port, token).get("health")
        assert token not in repr(inspector)
        inspector.close()
        urls.append(token)

    assert len(set(urls)) == 2
    assert all(len(token) == 43 for token in urls)


def test_a_given_token_is_not_logged() -> None:
    """Its owner has it already, and logs are read by others."""
    bus = Bus()
    lines: list[str] = []
    bus.subscribe(LOG, lambda text, level: lines.append(text))
    inspector = Inspector(bus, token=TOKEN)
    inspector.start()
    inspector.close()

    assert len(lines) == 1
    assert TOKEN not in lines[0]
