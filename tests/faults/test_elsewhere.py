"""Redirects, foreign credentials, proxies and certificates: neither the token nor the prompt goes anywhere else."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from acts import redirect
from ledger import books
from origin import Origin
from providers import CANARY
from tunnel import Tunnel

from imagen_nb.api import downloads, http
from imagen_nb.errors import ProviderError, SettingsError, UnreachableError
from imagen_nb.records import Status
from imagen_nb.workspace import Workspace

TLS = Path(__file__).parents[1] / "support" / "tls"
PROMPT = "a prompt that is nobody else's business"


@pytest.fixture
def elsewhere() -> Iterator[Origin]:
    """Another host, which would do as it is asked."""
    with Origin() as other:
        yield other


def _targets(other: Origin) -> dict[str, str]:
    return {
        "another host": f"{other.base_url}/v1/models/google/imagen-4/predictions",
        "itself": "/v1/models/google/imagen-4/predictions",
        "a metadata service": "http://169.254.169.254/latest/meta-data",
        "a file": "file:///etc/passwd",
        "nowhere": "",
    }


TARGETS = ["another host", "itself", "a metadata service", "a file", "nowhere"]


# -- redirects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirected_create_goes_nowhere(ws: Workspace, api: Origin, elsewhere: Origin, status: int) -> None:
    """It ends as an error that names the other host; neither token nor prompt is sent there."""
    api.fault("create", instead=[redirect(_targets(elsewhere)["another host"], status)])
    with pytest.raises(ProviderError):
        ws.generate(PROMPT)
    assert elsewhere.seen == []
    assert api.bills == []


@pytest.mark.parametrize("kind", ["create", "get", "list", "model"])
@pytest.mark.parametrize("target", TARGETS)
def test_the_api_is_never_redirected(ws: Workspace, api: Origin, elsewhere: Origin, kind: str, target: str) -> None:
    """Wherever a redirect points, nobody follows it; the run ends by its deadline, and its row says why."""
    api.latency = 0.1
    if kind == "list":
        api.fault("create", after=[redirect(_targets(elsewhere)["itself"], 500)], times=1)
    api.fault(kind, instead=[redirect(_targets(elsewhere)[target], 307)])
    model = "some/body" if kind == "model" else None
    began = time.monotonic()
    runs = ws.submit(ws.plan(PROMPT, model=model, repeat=2), timeout=2.0).wait()
    assert time.monotonic() - began < 15.0
    assert elsewhere.seen == []
    assert all(run.status is Status.SUCCEEDED or run.error for run in runs)
    assert len(api.bills) == (0 if kind == "create" else 2)


@pytest.mark.parametrize("target", TARGETS)
def test_a_redirected_image_goes_nowhere_else(
    ws: Workspace, api: Origin, elsewhere: Origin, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only within its own host may a file move, and not in circles; the row keeps the reason."""
    monkeypatch.setattr(downloads, "TRIES", 1)
    api.fault("file", instead=[redirect(_targets(elsewhere)[target].replace("/v1/models", "/files"), 302)])
    run = ws.generate(PROMPT)
    assert run.status is Status.FAILED
    assert "redirects" in str(run.error)
    assert elsewhere.seen == []


def test_a_file_that_moved_within_its_host_is_found(ws: Workspace, api: Origin) -> None:
    """One redirect to a neighbour is everyday business."""
    api.fault("file", instead=[redirect("/files/moved.jpg", 302)], times=1)
    assert ws.generate(PROMPT).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    "output",
    [
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "ftp://example.org/a.jpg",
        "http://10.0.0.1/a.jpg",
        "https://10.0.0.1\\.files.example/a.jpg",
        "https://10.0%2e0.%31/a.jpg",
        "https://",
    ],
)
def test_an_output_that_lies_where_none_may_is_not_asked_for(ws: Workspace, api: Origin, output: str) -> None:
    """Addresses of this network are refused, and said; a file of this machine or another protocol is mere text."""
    api.answer = lambda _: {"output": output}
    run = ws.generate(PROMPT)
    is_address = output.startswith("http")
    assert (run.status, run.error_code) == (Status.FAILED, "image" if is_address else "no_output")
    assert (
        ("refused" in str(run.error) or "cannot be used" in str(run.error)) if is_address else output in str(run.error)
    )
    assert not api.of("file")


def test_the_links_of_a_reply_are_never_followed(home: Path, elsewhere: Origin) -> None:
    """`urls.get`, `urls.cancel` and the list's `next` name another host: the provider's own is asked instead."""
    with Origin(token=CANARY, latency=0.3, links=elsewhere, files=elsewhere) as api:
        api.fault("create", after=[redirect("/", 500)], times=1)
        with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as ws:
            ws.run(ws.plan(PROMPT, repeat=3))
            api.latency = 60.0
            assert ws.generate(PROMPT, timeout=1.0).status is Status.CANCELED
    assert {each.kind for each in elsewhere.seen} == {"file"}
    sent = elsewhere.bytes_seen().decode("latin-1")
    assert CANARY not in sent
    assert PROMPT not in sent
    assert not re.search("(?i)^(authorization|cookie|referer):", sent, re.MULTILINE)


# -- credentials of others ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ["machine 127.0.0.1", "machine localhost", "default"])
def test_a_netrc_replaces_nothing_and_adds_nothing(home: Path, entry: str) -> None:
    """The provider gets the token, the host of the files gets no name and no password."""
    netrc = Path.home() / ".netrc"
    netrc.write_text(f"{entry} login me password hunter2\n")
    netrc.chmod(0o600)
    with Origin() as files, Origin(token=CANARY, files=files, latency=0.1) as api:
        api.fault("get", instead=[redirect("/v1/predictions/x")], times=1)
        with Workspace(home, provider=api.base_url, token=CANARY) as ws:
            runs = ws.run(ws.plan(PROMPT, repeat=2))
        assert Status.SUCCEEDED in {run.status for run in runs}
        assert {each.headers.get("authorization") for each in api.seen} == {f"Bearer {CANARY}"}
        assert files.seen
        assert all("authorization" not in each.headers for each in files.seen)


def test_proxies_of_the_environment_still_work(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole run goes through HTTPS_PROXY, where the host can only be had that way; the proxy sees no token."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "elsewhere.pem"))
    with Origin(tls=TLS / "elsewhere.pem", token=CANARY) as api, Tunnel(api.base_url) as proxy:
        api.answer = lambda bill: {"output": f"https://images.example/files/{bill.id}.jpg"}
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with Workspace(home, provider="https://images.example", token=CANARY) as ws:
            assert ws.generate(PROMPT).status is Status.SUCCEEDED
            books(ws.log, api).balance(1)
        assert set(proxy.asked) == {"images.example:443"}
        assert CANARY.encode() not in proxy.bytes_seen()


def test_nothing_for_this_machine_goes_to_a_proxy(
    home: Path, api: Origin, elsewhere: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider on this machine, its files and the simulator are asked directly, whatever HTTP_PROXY says."""
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, elsewhere.base_url)
    for number, provider in enumerate((api.base_url, "simulator")):
        with Workspace(home / str(number), provider=provider, token=CANARY) as ws:
            assert ws.generate(PROMPT).status is Status.SUCCEEDED
    assert len(api.bills) == 1
    assert elsewhere.seen == []


@pytest.mark.parametrize("token", [f"x{CANARY}\r\nX-Evil: 1", f"{CANARY}é", f"{CANARY} {CANARY}", " \n"])
def test_a_token_that_is_no_header_is_refused(home: Path, api: Origin, token: str) -> None:
    """Line breaks, spaces and letters that no header can hold: an error that does not repeat them."""
    with pytest.raises(SettingsError) as caught:
        Workspace(home, provider=api.base_url, token=token)
    assert CANARY not in str(caught.value)
    assert api.seen == []


def test_a_line_break_after_a_token_is_trimmed(home: Path, api: Origin) -> None:
    """As it comes from a file or a clipboard."""
    with Workspace(home, provider=api.base_url, token=f"{CANARY}\n") as ws:
        assert ws.generate(PROMPT).status is Status.SUCCEEDED


# -- certificates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["valid", "expired"])
def test_a_certificate_nobody_trusts_is_refused_at_once(home: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No loop, no token, no prompt: one error that names the place and the setting to look at."""
    if name == "expired":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "expired.pem"))
    with Origin(tls=TLS / f"{name}.pem") as api, Workspace(home, provider=api.base_url, token=CANARY) as ws:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="is not trusted") as caught:
            ws.generate(PROMPT)
        assert time.monotonic() - began < 3.0
        assert "REQUESTS_CA_BUNDLE" in caught.value.hint
        assert api.seen == []
        assert list(ws.frame().error_code) == ["unreachable"]


def test_a_ca_file_of_the_environment_is_trusted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With REQUESTS_CA_BUNDLE a company's own certificate works, for the API and for the files."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "valid.pem"))
    with Origin(tls=TLS / "valid.pem", token=CANARY) as api, Workspace(home, provider=api.base_url, token=CANARY) as ws:
        assert ws.generate(PROMPT).status is Status.SUCCEEDED
        books(ws.log, api).balance(1)


# -- nobody there ------------------------------------------------------------------------------------------------------


def test_a_provider_that_cannot_be_reached_is_said_after_a_few_tries(home: Path, free_port: int) -> None:
    """Refused connections are tried again for a moment, then raise; the row can be resumed when it is up."""
    url = f"http://127.0.0.1:{free_port}"
    with Workspace(home, provider=url) as ws:
        plan = ws.plan(PROMPT)
        with pytest.raises(UnreachableError, match="no connection"):
            ws.run(plan, experiment="e")
        assert list(ws.frame().error_code) == ["unreachable"]
        _serve_and_resume(ws, plan, free_port)


def _serve_and_resume(ws: Workspace, plan: object, port: int) -> None:
    from imagen_nb.simulator import Simulator

    with Simulator(port=port, latency=0.0) as simulator:
        assert ws.run(plan, experiment="e", resume=True)[0].status is Status.SUCCEEDED  # type: ignore[arg-type] # a plan
        books(ws.log, simulator).balance(1)


def test_a_provider_that_comes_up_meanwhile_gets_the_create_once(home: Path, free_port: int) -> None:
    """Surely unsent is sent again, within a second or two."""
    from imagen_nb.simulator import Simulator

    with Workspace(home, provider=f"http://127.0.0.1:{free_port}") as ws:
        runs = ws.submit(ws.plan(PROMPT))
        time.sleep(0.1)
        with Simulator(port=free_port, latency=0.0) as simulator:
            assert runs.wait()[0].status is Status.SUCCEEDED
            books(ws.log, simulator).balance(1)


def test_a_name_that_cannot_be_found_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS failures count as unreachable: nothing left, nothing is billed."""
    import socket

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(http, "TRIES", 2)
    with (
        Workspace(home, provider="https://images.invalid", token=CANARY) as ws,
        pytest.raises(UnreachableError, match="cannot be found"),
    ):
        ws.generate(PROMPT)


def test_a_host_that_does_not_take_connections_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connect that times out is as sure as a refused one."""
    import socket

    monkeypatch.setattr("imagen_nb.api.transport.CONNECT_S", 0.3)
    monkeypatch.setattr(http, "TRIES", 2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        with (
            Workspace(home, provider=f"http://127.0.0.1:{full.getsockname()[1]}") as ws,
            pytest.raises(UnreachableError, match="does not answer"),
        ):
            ws.generate(PROMPT)
        for each in fillers:
            each.close()
