"""One exchange: it ends when it must, goes where it should, and shows nothing of the token."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import urllib3
from acts import Act, bomb, chunked, cut, drip, fin, hang, head, pause, redirect, reply, rst, says, send
from origin import Origin
from providers import CANARY, Naps, api_of, eventually, fox, http_of, provider_of, shown, soon

from imagen_nb.api import transport
from imagen_nb.api.transport import BearerAuth, Exchange, HttpConnections, NoAuth, NoReply, ReplyHead, explain
from imagen_nb.errors import UncertainError, UnreachableError
from imagen_nb.settings import Secret

TLS = Path(__file__).parents[1] / "support" / "tls"
OK = head(200, {"Content-Length": "2", "Content-Type": "application/json"}) + b"{}"


@pytest.fixture
def api() -> Iterator[Origin]:
    with Origin(token=CANARY) as origin:
        yield origin


def _exchange(origin: Origin, seconds: float = 5.0, path: str = "/x") -> tuple[ReplyHead | NoReply, bytes]:
    body = bytearray()
    connections = HttpConnections(NoAuth())
    try:
        return connections.send("GET", origin.base_url + path, Exchange(soon(seconds)), sink=body.extend), bytes(body)
    finally:
        connections.close()


# -- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [[reply(b"whole")], chunked(b"whole"), [reply(gzip.compress(b"whole"), content_encoding="gzip")]],
    ids=["length", "chunked", "gzip"],
)
def test_a_whole_body_arrives(api: Origin, script: list[Act]) -> None:
    """With a length, in chunks, or compressed although nobody asked for it."""
    api.fault("any", instead=script)
    answer, body = _exchange(api)
    assert isinstance(answer, ReplyHead)
    assert body == b"whole"
    assert api.seen[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "script",
    [
        cut(b"not whole", 3),
        chunked(b"not whole", is_whole=False),
        [reply(gzip.compress(b"not whole")[:-9], content_encoding="gzip")],
        [reply(b"\x28\xb5\x2f\xfd", content_encoding="zstd")],
        [reply(gzip.compress(b"x"), content_encoding="gzip, gzip")],
        [send(b"HTTP/1.1 200 OK\r\nContent-"), rst],
        [send(b"SSH-2.0-OpenSSH_9.2\r\n"), fin],
        [fin],
        [rst],
    ],
    ids=["length", "chunk", "gzip", "zstd", "twice", "header", "not http", "fin", "rst"],
)
def test_a_body_that_is_not_whole_is_lost(api: Origin, script: list[Act]) -> None:
    """Whatever ends a reply early, the exchange says that it was sent and lost."""
    api.fault("any", instead=script)
    answer, _ = _exchange(api)
    assert isinstance(answer, NoReply)
    assert answer.is_sent
    assert "None" not in answer.text


def test_a_compressed_bomb_comes_in_pieces(api: Origin) -> None:
    """What swells is handed on a chunk at a time, so that a cap can stop it."""
    api.fault("any", instead=[bomb(20)])
    sizes: list[int] = []
    HttpConnections(NoAuth()).send("GET", api.base_url, Exchange(soon()), sink=lambda piece: sizes.append(len(piece)))
    assert sum(sizes) == 20 * 1024 * 1024
    assert max(sizes) <= transport.CHUNK


# -- time --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        [hang],
        [drip(OK, every=0.05)],
        [send(head(200, {"Content-Length": "1000"})), drip(b"x" * 1000, every=0.05)],
        [send(b"HTTP/1.1 200 OK\r\n"), drip(b"X-A: b\r\n" * 50, every=0.05)],
        [send(b"HTTP/1.1 100 Continue\r\n\r\n"), pause(0.2)] * 100,
    ],
    ids=["silence", "all", "body", "headers", "continue"],
)
def test_every_exchange_ends_by_its_deadline(api: Origin, script: list[Act]) -> None:
    """Silence, drips of the body or of the headers, endless interim replies: the clock on the wall decides."""
    api.fault("any", instead=script)
    began = time.monotonic()
    answer, _ = _exchange(api, seconds=0.6)
    assert 0.5 < time.monotonic() - began < 10.0
    assert isinstance(answer, NoReply)
    assert "in the time allowed" in answer.text


def test_a_stop_ends_a_waiting_call_soon(api: Origin) -> None:
    """A look that hangs is over within a fraction of a second after `stop` was set, far from its deadline."""
    api.fault("get", instead=[hang])
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(UncertainError, match="stopped"):
        api_of(api).get("abc", deadline=soon(30), stop=stop)
    assert time.monotonic() - began < 10.0


def test_closing_ends_every_call(api: Origin) -> None:
    """`close()` ends even a create under way, whose fate is then uncertain."""
    api.fault("create", after=[hang])
    client = api_of(api)
    threading.Timer(0.2, client.close).start()
    began = time.monotonic()
    with pytest.raises(UncertainError):
        client.create(fox(), deadline=soon(30))
    assert time.monotonic() - began < 10.0


def test_a_stop_leaves_a_create_under_way_alone(api: Origin) -> None:
    """What was sent is awaited: its reply is the only sure word about what is billed."""
    api.latency = 0.6
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    prediction = api_of(api).create(fox(), deadline=soon(), hold=5, stop=stop)
    assert stop.is_set()
    assert prediction.id == api.bills[0].id


def test_connections_are_kept_and_stale_ones_replaced(api: Origin) -> None:
    """Calls share a connection; one that the server closed meanwhile is noticed before a create goes into it."""
    client = api_of(api)
    first = client.create(fox(), deadline=soon())
    client.get(first.id, deadline=soon())
    assert len(api._wires) == 1
    api.fault("get", instead=[says({"id": first.id, "status": "starting"}), fin])
    client.get(first.id, deadline=soon())
    eventually(lambda: not api._wires)
    client.create(fox(), deadline=soon())
    assert len(api.bills) == 2


# -- what was surely not sent ------------------------------------------------------------------------------------------


def _closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_refused_is_unreachable_after_a_few_tries() -> None:
    """Nobody listens: surely not sent, so even a create is tried again, with growing gaps, and then it says so."""
    naps = Naps()
    client = api_of(f"http://127.0.0.1:{_closed_port()}", sleep=naps, rng=lambda: 1.0)
    with pytest.raises(UnreachableError, match=r"no connection to 127\.0\.0\.1:\d+: connection refused") as caught:
        client.create(fox(), deadline=soon())
    assert naps.seconds == [0.5, 1.0, 2.0]
    assert "base URL" in caught.value.hint


def test_an_unknown_name_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS has no such name: surely not sent."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UnreachableError, match=r"the address of images\.invalid cannot be found"):
        api_of("https://images.invalid", sleep=Naps()).create(fox(), deadline=soon())


def test_a_connection_that_is_not_taken_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that drops connections: surely not sent."""
    monkeypatch.setattr(transport, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        try:
            with pytest.raises(UnreachableError, match="does not answer"):
                api_of(f"http://127.0.0.1:{address[1]}", sleep=Naps()).create(fox(), deadline=soon())
        finally:
            for filler in fillers:
                filler.close()


def test_a_create_that_came_back_after_being_refused_is_billed_once(api: Origin) -> None:
    """A provider that comes up a moment later gets the create, once."""
    port = _closed_port()
    client = api_of(f"http://127.0.0.1:{port}", rng=lambda: 0.0)
    started: list[Origin] = []

    def revive() -> None:
        listener = socket.create_server(("127.0.0.1", port))
        api._listener.close()
        api._listener = listener
        threading.Thread(target=api._accept, daemon=True).start()
        started.append(api)

    threading.Timer(0.1, revive).start()
    client.create(fox(), deadline=soon())
    assert started
    assert len(api.bills) == 1


# -- TLS ---------------------------------------------------------------------------------------------------------------


def test_an_untrusted_certificate_is_refused_at_once() -> None:
    """A certificate nobody vouches for: one try, nothing sent, and the hint names the CA setting."""
    naps = Naps()
    with Origin(tls=TLS / "valid.pem") as origin:
        with pytest.raises(UnreachableError, match="is not trusted: self-signed") as caught:
            api_of(origin, sleep=naps).create(fox(), deadline=soon())
        assert origin.seen == []
    assert naps.seconds == []
    assert "REQUESTS_CA_BUNDLE" in caught.value.hint


def test_an_expired_certificate_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even one whose issuer is trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "expired.pem"))
    with Origin(tls=TLS / "expired.pem") as origin, pytest.raises(UnreachableError, match="expired"):
        api_of(origin).create(fox(), deadline=soon())


def test_a_ca_file_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """REQUESTS_CA_BUNDLE makes a company's certificate trusted, and TLS then works, deadline and all."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "valid.pem"))
    with Origin(tls=TLS / "valid.pem", token=CANARY) as origin:
        client = api_of(origin)
        created = client.create(fox(), deadline=soon())
        origin.fault("get", instead=[drip(OK, every=0.05)])
        began = time.monotonic()
        with pytest.raises(UncertainError, match="in the time allowed"):
            client.get(created.id, deadline=soon(0.5))
        assert time.monotonic() - began < 10.0


def test_a_missing_ca_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """REQUESTS_CA_BUNDLE points nowhere: the error says so at once."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(UnreachableError, match="CA file") as caught:
        api_of("https://127.0.0.1:9").create(fox(), deadline=soon())
    assert "REQUESTS_CA_BUNDLE" in caught.value.hint


def test_tls_to_a_plain_port_is_unreachable(api: Origin) -> None:
    """https at a port that speaks http: nothing was sent, and the error speaks of TLS."""
    with pytest.raises(UnreachableError, match="TLS with"):
        api_of(api.base_url.replace("http:", "https:"), sleep=Naps()).create(fox(), deadline=soon())


# -- the environment ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ["machine 127.0.0.1", "default"])
def test_a_netrc_entry_replaces_nothing(
    api: Origin, entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests would put a `~/.netrc` entry in the token's place, and give it to hosts that need none."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"{entry} login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    api_of(api).create(fox(), deadline=soon())
    assert api.seen[0].headers["authorization"] == f"Bearer {CANARY}"
    with Origin() as host:
        _exchange(host)
        assert "authorization" not in host.seen[0].headers


def test_a_proxy_of_the_environment_is_used(api: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY still counts for other hosts, whose names the proxy looks up, and NO_PROXY with it."""
    port = urlsplit(api.base_url).port
    with Origin(token=CANARY) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url)
        api_of(f"http://images.example:{port}").create(fox(), deadline=soon())
        assert (len(proxy.bills), len(api.bills)) == (1, 0)
        monkeypatch.setenv("NO_PROXY", "images.example")
        monkeypatch.setattr(socket, "getaddrinfo", _lead_here(socket.getaddrinfo))
        api_of(f"http://images.example:{port}").create(fox(), deadline=soon())
        assert (len(proxy.bills), len(api.bills)) == (1, 1)


def _lead_here(getaddrinfo: Callable[..., Any]) -> Callable[..., Any]:
    """The look-up of names, were every host this machine."""
    return lambda _, *args, **options: getaddrinfo("127.0.0.1", *args, **options)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_this_machine_is_never_asked_through_a_proxy(
    api: Origin, host: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain http is allowed to this machine alone, so the proxy sees nothing of it, the token least of all."""
    with Origin(token=CANARY) as proxy:
        monkeypatch.setenv(variable, proxy.base_url)
        api_of(f"http://{host}:{urlsplit(api.base_url).port}").create(fox(), deadline=soon())
        assert (len(proxy.seen), len(api.bills)) == (0, 1)


@pytest.mark.parametrize("address", ["http://", "nonsense://127.0.0.1:1", "http://[", "socks5://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_said(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A malformed proxy address, an unknown scheme, SOCKS without its package: one error, and nothing sent."""
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(UnreachableError) as caught:
        api_of("https://images.invalid", sleep=Naps()).create(fox(), deadline=soon())
    assert "nothing was sent" in caught.value.hint


def test_a_proxy_that_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that wants a password gets no second try, and its own password is not shown."""
    with Origin() as proxy:
        proxy.fault("any", instead=[reply(b"", 407)])
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url.replace("//", "//me:hunter2@"))
        with pytest.raises(
            UnreachableError, match=r"the proxy does not lead to images\.invalid: it answers 407"
        ) as caught:
            api_of("https://images.invalid", sleep=Naps()).create(fox(), deadline=soon())
        assert len(proxy.seen) == 1
    assert "hunter2" not in shown(caught.value)


# -- redirects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_api_is_not_redirected(api: Origin, status: int) -> None:
    """A redirect of a create is refused: neither the token nor the prompt goes elsewhere."""
    with Origin() as other:
        api.fault("create", instead=[redirect(f"{other.base_url}/v1/models/google/imagen-4/predictions", status)])
        with pytest.raises(Exception, match=r"the provider redirects to 127\.0\.0\.1") as caught:
            api_of(api).create(fox(), deadline=soon())
        assert other.seen == []
    assert len(api.seen) == 1
    assert "base URL" in str(caught.value)


@pytest.mark.parametrize("to", ["", "/v1/loop", "file:///etc/passwd", "http://169.254.169.254/latest", "http://[bad"])
def test_no_redirect_is_followed_anywhere(api: Origin, to: str) -> None:
    """Loops, files, the cloud's own address, nonsense: looked at by nobody."""
    api.fault("get", instead=[redirect(to)])
    with pytest.raises(Exception, match="the provider redirects"):
        api_of(api).get("abc", deadline=soon())
    assert len(api.seen) == 1


# -- the token ---------------------------------------------------------------------------------------------------------


def test_the_token_does_not_show_itself() -> None:
    """Neither in the repr of what holds it, nor in a session's."""
    auth = BearerAuth(Secret(CANARY))
    assert CANARY not in repr(auth)
    http = http_of("http://127.0.0.1:1")
    assert CANARY not in f"{http!r} {http._connections._session.auth!r} {vars(http)}"


@pytest.mark.parametrize(
    "script",
    [[rst], [hang], cut(b"{}" * 99, 3), [reply(b"<html>", 500)]],
    ids=["reset", "silence", "cut short", "500"],
)
def test_no_error_shows_the_token(api: Origin, script: list[Act]) -> None:
    """Neither its text, nor its chain, nor a variable of any frame it passed."""
    api.fault("create", instead=script)
    with pytest.raises(UncertainError) as caught:
        api_of(api).create(fox(), deadline=soon(), patience=0.5)
    assert CANARY not in shown(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_an_interrupt_does_not_show_the_token(api: Origin) -> None:
    """Ctrl-C in the middle of a call goes on as KeyboardInterrupt, without the frames that know the request."""
    api.fault("create", instead=[hang])
    client = api_of(api)

    def interrupt() -> None:
        eventually(lambda: bool(api.of("create")), 30.0)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt) as caught:
        client.create(fox(), deadline=soon(60.0))
    assert CANARY not in shown(caught.value)


def test_a_provider_that_echoes_the_token_is_masked(api: Origin) -> None:
    """What a provider repeats of it gets neither into an error nor into what is logged."""
    api.fault("create", instead=[says({"detail": f"bad token {CANARY}"}, 401)])
    with pytest.raises(Exception, match=r"bad token \[token\]") as caught:
        api_of(api).create(fox(), deadline=soon())
    assert CANARY not in shown(caught.value)


def test_a_token_with_a_line_break_is_never_used() -> None:
    """It is refused before there is a header to put it in, without being shown."""
    with pytest.raises(Exception, match="the token cannot be sent") as caught:
        provider_of("http://127.0.0.1:1", token=f"{CANARY}\nX-Evil: 1")
    assert CANARY not in str(caught.value)


# -- foreign exceptions ------------------------------------------------------------------------------------------------


def _all_kinds(root: type[BaseException]) -> list[type[BaseException]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _all_kinds(child))]


@pytest.mark.parametrize("is_sent", [True, False])
@pytest.mark.parametrize(
    "kind",
    sorted(
        {*_all_kinds(requests.RequestException), *_all_kinds(urllib3.exceptions.HTTPError), *_all_kinds(ssl.SSLError)},
        key=lambda kind: f"{kind.__module__}.{kind.__qualname__}",
    ),
    ids=lambda kind: f"{kind.__module__}.{kind.__name__}",
)
def test_every_foreign_exception_has_a_meaning(kind: type[Exception], is_sent: bool) -> None:
    """Each class that requests and urllib3 can raise becomes words, with a next step, and none of its own text."""
    failure = kind.__new__(kind)
    failure.args = (f"Bearer {CANARY}",)
    lost = explain(failure, "https://user:secret@images.example:8443/path?token=1", is_sent=is_sent)
    assert lost.is_sent == is_sent
    assert lost.text
    assert lost.hint
    for word in (CANARY, "secret", "token=", "None", "/path"):
        assert word not in lost.text
