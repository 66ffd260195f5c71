"""Outputs: whole or nothing, from where they may lie, bounded in every direction."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import psutil
import pytest
from acts import Act, bomb, chunked, cut, drip, endless, hang, head, page, redirect, reply, rst, unsized
from monsters import png as bit_png
from origin import Origin, picture
from PIL import Image, ImageFile
from providers import Naps, soon

from imagen_nb.api import downloads, image_files
from imagen_nb.api.downloads import Downloader, check_url, decode_data_uri, follow_redirect
from imagen_nb.errors import ImageError, ImageGoneError, ImagenError, LogError, ProviderError, UncertainError

JPEG = picture("JPEG", (256, 256))
PNG = picture("PNG", (64, 64))
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


@pytest.fixture
def host() -> Iterator[Origin]:
    with Origin() as started:
        yield started


def _fetch(host: Origin, folder: Path, name: str = "a.jpg", *, seconds: float = 10.0, **options: Any) -> Any:
    downloader = Downloader(allow_local=True, **{"sleep": Naps(), **options})
    try:
        return downloader.fetch(f"{host.base_url}/files/{name}", folder, deadline=soon(seconds))
    finally:
        downloader.close()


def _encoded(kind: str, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(file, kind, **options)
    return file.getvalue()


# -- whole images ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "mime"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("AVIF", "image/avif"),
    ],
)
def test_a_whole_image_is_kept(host: Origin, tmp_path: Path, kind: str, mime: str) -> None:
    """Its bytes as they came, its hash, its pixels, its type by content, whatever the server calls it."""
    if kind == "AVIF" and image_files.AvifImagePlugin is None:
        pytest.skip("this Pillow has no AVIF")
    data = _encoded(kind)
    host.fault("file", instead=[reply(data, content_type="application/octet-stream")])
    got = _fetch(host, tmp_path)
    assert got.path.read_bytes() == data
    assert got.sha256 == hashlib.sha256(data).hexdigest()
    assert (got.width, got.height, got.bytes, got.mime) == (40, 30, len(data), mime)
    assert got.url.startswith(host.base_url)
    assert got.path.parent == tmp_path


@pytest.mark.parametrize(
    "script",
    [chunked(JPEG), unsized(JPEG), [reply(JPEG, content_type="text/html")]],
    ids=["chunks", "no length", "type"],
)
def test_a_whole_image_may_come_in_any_framing(host: Origin, tmp_path: Path, script: list[Act]) -> None:
    """In chunks, without a length, under a wrong type: what decodes to its end is whole."""
    host.fault("file", instead=script)
    assert _fetch(host, tmp_path).bytes == len(JPEG)


def test_nothing_is_asked_encoded_and_nothing_identifies_us(host: Origin, tmp_path: Path) -> None:
    """No token, no cookie, no referrer."""
    host.fault("file", instead=[reply(JPEG, set_cookie="a=b")])
    downloader = Downloader(allow_local=True)
    for _ in range(2):
        downloader.fetch(f"{host.base_url}/files/a.jpg", tmp_path, deadline=soon())
    for seen in host.seen:
        assert seen.headers["accept-encoding"] == "identity"
        assert not {"authorization", "cookie", "referer"} & seen.headers.keys()


@pytest.mark.parametrize("entry", ["machine 127.0.0.1", "default"])
def test_no_password_of_a_netrc_is_sent(
    host: Origin, tmp_path: Path, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests would send a `~/.netrc` entry to a file host, and again after a redirect."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"{entry} login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    host.fault("file", instead=[redirect("/files/b.jpg", 302)], times=1)
    _fetch(host, tmp_path)
    assert len(host.seen) == 2
    assert all("authorization" not in seen.headers for seen in host.seen)


# -- cut short ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        cut(JPEG, len(JPEG) // 2),
        cut(JPEG, 0),
        chunked(JPEG, is_whole=False),
        unsized(JPEG[: len(JPEG) // 2]),
        unsized(b""),
        [rst],
        [reply(b"", 500)],
        [reply(b"", 429, retry_after="1")],
        [page(200, "One moment please")],
    ],
    ids=["length", "nothing", "chunk", "no length", "empty", "reset", "500", "429", "page"],
)
def test_what_is_cut_short_is_fetched_again(host: Origin, tmp_path: Path, script: list[Act]) -> None:
    """By length, by chunk, without a length; a reset, a failing host: the next try is whole."""
    host.fault("file", instead=script, times=2)
    got = _fetch(host, tmp_path)
    assert (got.width, got.height) == (64, 64)
    assert len(host.seen) == 3
    assert list(tmp_path.iterdir()) == [got.path]


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (cut(JPEG, 999), UncertainError),
        ([rst], UncertainError),
        ([reply(b"", 503)], UncertainError),
        (unsized(JPEG[:-200]), ImageError),
        (unsized(PNG[:-200]), ImageError),
        ([reply(b"")], ImageError),
        ([page(200)], ImageError),
        ([reply(SVG, content_type="image/svg+xml")], ImageError),
        ([reply(b"\xff\xd8\xff\xe0 not a picture")], ImageError),
        ([reply(b"RIFF\0\0\0\0WEBPjunk")], ImageError),
        ([reply(b"", 404)], ImageGoneError),
        ([reply(b"", 410)], ImageGoneError),
        ([reply(b"", 403)], ImageGoneError),
        ([reply(b"", 418)], ImageError),
    ],
    ids=[
        *("cut short", "reset", "503", "JPEG without its end", "PNG without its end", "nothing", "page", "SVG"),
        *("no picture", "no WebP", "404", "410", "403", "418"),
    ],
)
def test_what_stays_unusable_is_not_kept(
    host: Origin, tmp_path: Path, script: list[Act], kind: type[ImagenError]
) -> None:
    """After a few tries an error says what is wrong, and the folder is empty."""
    host.fault("file", instead=script)
    with pytest.raises(kind) as caught:
        _fetch(host, tmp_path)
    assert type(caught.value) is kind
    assert "None" not in str(caught.value)
    assert len(host.seen) <= 4
    assert list(tmp_path.iterdir()) == []


def test_pillows_forgiveness_does_not_count(host: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that told Pillow to load truncated images still gets whole ones only."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    host.fault("file", instead=unsized(JPEG[: len(JPEG) // 2]), times=1)
    assert _fetch(host, tmp_path).width == 64
    assert len(host.seen) == 2


@pytest.mark.parametrize(
    "data",
    [
        PNG[:60] + bytes(40) + PNG[100:],
        JPEG[:300] + JPEG[-2:],
        _encoded("WEBP", (200, 200))[:-40],
        _encoded("GIF", (200, 200))[:-400],
    ],
    ids=["PNG with a hole", "JPEG without a middle", "WebP cut", "GIF cut"],
)
def test_only_a_full_decode_tells(host: Origin, tmp_path: Path, data: bytes) -> None:
    """Header and end are in place, or there is no end to look for: the decode finds what is missing."""
    host.fault("file", instead=[reply(data)])
    with pytest.raises(ImageError, match="not a whole image"):
        _fetch(host, tmp_path)


# -- bombs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(20_000, 10_000), (12_000, 8_000)], ids=str)
def test_an_image_of_200_megapixels_is_refused_by_its_header(
    host: Origin, tmp_path: Path, size: tuple[int, int]
) -> None:
    """Too many pixels are not decoded, and nothing is warned about on the side."""
    host.fault("file", instead=[reply(bit_png(*size))])
    with pytest.raises(ImageError, match=f"has {size[0]} x {size[1]} pixels"):
        _fetch(host, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", [[bomb(200)], [endless(start=b"\xff\xd8\xff")]], ids=["gzip", "endless"])
def test_a_bomb_is_capped(host: Origin, tmp_path: Path, script: list[Act]) -> None:
    """A body that swells to 200 MB, or never ends: refused at the cap, at once, without the memory."""
    host.fault("file", instead=script)
    process = psutil.Process()
    before = process.memory_info().rss
    peak = [before]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with pytest.raises(ImageError, match="larger than 64 MB"):
            _fetch(host, tmp_path, seconds=60.0)
    finally:
        done.set()
        watcher.join()
    assert max(peak) - before < 80 * 1024 * 1024
    assert len(host.seen) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_length_above_the_cap_is_not_even_read(host: Origin, tmp_path: Path) -> None:
    """What announces a terabyte is refused by its header."""
    host.fault("file", instead=[lambda wire: wire.send(head(200, {"Content-Length": str(10**12)})), hang])
    with pytest.raises(ImageError, match="larger than"):
        _fetch(host, tmp_path)


@pytest.mark.parametrize(
    "script", [[hang], [lambda wire: wire.send(head(200, {})), drip(JPEG, 0.05)]], ids=["hang", "drip"]
)
def test_a_slow_host_ends_by_the_deadline(host: Origin, tmp_path: Path, script: list[Act]) -> None:
    """Silence and drips: the clock decides, and nothing is left behind."""
    host.fault("file", instead=script)
    began = time.monotonic()
    with pytest.raises(UncertainError):
        _fetch(host, tmp_path, seconds=0.6)
    assert time.monotonic() - began < 10.0
    assert list(tmp_path.iterdir()) == []


def test_a_stop_ends_a_download(host: Origin, tmp_path: Path) -> None:
    """In mid-body, and nothing is left behind."""
    host.fault("file", instead=[hang])
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(UncertainError, match="stopped"):
        Downloader(allow_local=True).fetch(f"{host.base_url}/files/a.jpg", tmp_path, deadline=soon(60), stop=stop)
    assert time.monotonic() - began < 10.0
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said(host: Origin, tmp_path: Path) -> None:
    """A folder that cannot be written is the log's error, not the image's."""
    with pytest.raises(LogError, match="cannot be written"):
        _fetch(host, tmp_path / "not there")


def test_no_room_at_the_end_is_said_too(host: Origin, tmp_path: Path) -> None:
    """What only turns out when the last bytes are written is the same error, and nothing is left behind."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        with pytest.raises(LogError, match="an image cannot be written: file too large"):
            _fetch(host, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_embedded", [True, False])
def test_too_many_open_files_are_called_so(host: Origin, tmp_path: Path, is_embedded: bool) -> None:
    """Neither the disk nor the network is blamed when this process may open no more files."""
    uri = f"data:image/png;base64,{base64.b64encode(PNG).decode()}" if is_embedded else f"{host.base_url}/files/a.jpg"
    downloader = Downloader(allow_local=True, sleep=Naps())
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = os.open(os.devnull, os.O_RDONLY)
    os.close(taken)
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken, before[1]))
    try:
        with pytest.raises(ImagenError, match=r"too many open files|too many files open") as caught:
            downloader.fetch(uri, tmp_path, deadline=soon())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert "ulimit -n" in caught.value.hint


def test_a_picture_may_be_read_by_whom_the_umask_lets(host: Origin, tmp_path: Path) -> None:
    """As any other file that one makes, and the log beside it."""
    usual = tmp_path / "usual"
    usual.touch()
    assert _fetch(host, tmp_path).path.stat().st_mode == usual.stat().st_mode


# -- where it may lie --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://replicate.delivery/xezq/a.jpg",
        "https://sub.replicate.delivery:443/a.jpg?sig=x",
        "https://8.8.8.8/a.jpg",
        "https://[2606:4700::1111]/a.jpg",
        "https://REPLICATE.delivery./a.jpg",
        "https://b\u00fccher.example/a.jpg",
        "https://files_1.example/my fox.jpg",
        "https://files.example#@127.0.0.1/a.jpg",
        "https://files.example/a.jpg?at=@127.0.0.1",
    ],
)
def test_public_https_is_allowed(url: str) -> None:
    """Where outputs really lie."""
    assert check_url(url, allow_local=False) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://replicate.delivery/a.jpg",
        "file:///etc/passwd",
        "ftp://host.example/a.jpg",
        "javascript:alert(1)",
        "//replicate.delivery/a.jpg",
        "a.jpg",
        "",
        "https://",
        "https://[::1/a.jpg",
        "https://host.example:99999/a.jpg",
        "https://user:pw@host.example/a.jpg",
        "https://169.254.169.254/latest/meta-data",
        "http://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/a.jpg",
        "http://127.0.0.1/a.jpg",
        "https://localhost/a.jpg",
        "https://localhost./a.jpg",
        "https://10.0.0.1/a.jpg",
        "https://192.168.1.1/a.jpg",
        "https://[::1]/a.jpg",
        "https://[::ffff:127.0.0.1]/a.jpg",
        "https://[fe80::1]/a.jpg",
        "https://0.0.0.0/a.jpg",
        "https://2130706433/a.jpg",
        "https://0x7f.1/a.jpg",
        "https://127.1/a.jpg",
        "https://metadata.google.internal/a.jpg",
        "https://printer.local/a.jpg",
        "https://intranet/a.jpg",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    """Plain http, files, this machine, private and cloud addresses, also in disguise."""
    with pytest.raises(ImageError):
        check_url(url, allow_local=False)


DISGUISES = [
    "https://127.0.0.1\\.files.example/a.jpg",
    "https://files.example\\@127.0.0.1/a.jpg",
    "https://127.0.0.1 .files.example/a.jpg",
    "https://127.0.0.1\t.files.example/a.jpg",
    "https://127.0.0.1\n/a.jpg",
    "https://files.exam\tple/a.jpg",
    "\0https://127.0.0.1/a.jpg",
    "https:\\\\127.0.0.1/a.jpg",
    "https:///127.0.0.1/a.jpg",
    "https://127%2e0.0.%31/a.jpg",
    "https://a.localhos%74/a.jpg",
    "https://127.0.0.1%00.files.example/a.jpg",
    "https://127.0.0.1%20.files.example/a.jpg",
    "https://127.0.0.1#@files.example/a.jpg",
    "https://127.0.0.1?@files.example/a.jpg",
    "https://files.example@127.0.0.1/a.jpg",
    "https://files.example:443@127.0.0.1/a.jpg",
    "https://a@b@127.0.0.1/a.jpg",
    "https://@127.0.0.1/a.jpg",
    "https://\uff11\uff12\uff17.0.0.1/a.jpg",
    "https://127\u30020\u30020\u30021/a.jpg",
    "https://127.0.0.1\u00ad/a.jpg",
    "https://127.0.0.1\u200b/a.jpg",
    "https://files.example:\uff14\uff14\uff13/a.jpg",
    "https://127.0.0.1./a.jpg",
    "https://127.0.0.1../a.jpg",
    "https://0177.0.0.1/a.jpg",
    "https://0X7F.0.0.0X1/a.jpg",
    "https://017700000001/a.jpg",
    "https://224.0.0.1/a.jpg",
    "https://100.64.0.1/a.jpg",
    "https://[fe80::1%25eth0]/a.jpg",
    "https://[2606:4700::1111%25eth0]/a.jpg",
    "https://[::127.0.0.1]/a.jpg",
    "https://[64:ff9b::7f00:1]/a.jpg",
    "https://[2002:7f00:1::]/a.jpg",
    "https://[2001:0:7f00:1::]/a.jpg",
    "https://[ff0e::1]/a.jpg",
    "https://[v1.a]/a.jpg",
]


@pytest.mark.parametrize("url", DISGUISES, ids=ascii)
def test_a_host_that_two_readers_see_differently_is_refused(url: str) -> None:
    """What is checked is what is connected to: backslashes, escapes, user names, other digits, other notations."""
    with pytest.raises(ImageError):
        check_url(url, allow_local=False)


@pytest.mark.parametrize("host", ["127.0.0.1:{port}\\.files.example", "127.0%2e0.%31:{port}", "127.0.0.1.:{port}"])
def test_nothing_connects_to_this_machine_in_disguise(tmp_path: Path, host: str) -> None:
    """Whoever listens here is not even knocked at, when the provider is elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://{host.format(port=server.getsockname()[1])}/a.jpg"
        with pytest.raises(ImageError):
            Downloader(allow_local=False, sleep=Naps()).fetch(url, tmp_path, deadline=soon(2.0))
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_redirect_to_this_machine_in_disguise_is_refused() -> None:
    """The same check, with the same eyes, holds for where a redirect leads."""
    for to in ("https://files.example\\@127.0.0.1/a.jpg", "//files.example%40127.0.0.1/", "/a\\b"):
        with pytest.raises(ImageError):
            follow_redirect("https://files.example/a.jpg", to, allow_local=False)


def test_this_machine_is_allowed_where_the_provider_is_on_it() -> None:
    """A simulator's files lie beside it; the rest of the private net stays refused."""
    assert check_url("http://127.0.0.1:8000/a.jpg", allow_local=True)
    assert check_url("http://localhost:8000/a.jpg", allow_local=True)
    for url in ("http://10.0.0.1/a.jpg", "http://169.254.169.254/", "file:///etc/passwd"):
        with pytest.raises(ImageError):
            check_url(url, allow_local=True)


def test_a_refused_address_is_not_asked(host: Origin, tmp_path: Path) -> None:
    """An output on this machine is not fetched for a provider elsewhere."""
    with pytest.raises(ImageError, match="is refused"):
        Downloader(allow_local=False).fetch(f"{host.base_url}/files/a.jpg", tmp_path, deadline=soon())
    assert host.seen == []


# -- redirects ---------------------------------------------------------------------------------------------------------


def test_a_redirect_within_the_host_is_followed(host: Origin, tmp_path: Path) -> None:
    """To another path of the same origin, three times at most."""
    host.fault("file", instead=[redirect("/files/b.jpg", 302)], times=3)
    assert _fetch(host, tmp_path).width == 64
    assert [seen.path for seen in host.seen] == ["/files/a.jpg", *["/files/b.jpg"] * 3]


@pytest.mark.parametrize(
    "to",
    ["/files/a.jpg", "http://169.254.169.254/latest", "file:///etc/passwd", "https://evil.example/a.jpg", "http://["],
)
def test_other_redirects_are_refused(host: Origin, tmp_path: Path, to: str) -> None:
    """Loops, other hosts, the cloud's own address, files: an error, and nobody else is asked."""
    host.fault("file", instead=[redirect(to, 302)])
    with pytest.raises(ImageError, match="redirects"):
        _fetch(host, tmp_path)
    assert len(host.seen) <= 4
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_to_another_port_is_another_host(host: Origin, tmp_path: Path) -> None:
    """Same name, other port: not the same origin."""
    with Origin() as other:
        host.fault("file", instead=[redirect(f"{other.base_url}/files/a.jpg")])
        with pytest.raises(ImageError, match="redirects"):
            _fetch(host, tmp_path)
        assert other.seen == []


# -- data URIs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/jpeg;base64," + base64.b64encode(JPEG).decode(),
        "DATA:;BASE64," + base64.b64encode(JPEG).decode(),
        "data:image/svg+xml," + "".join(f"%{byte:02x}" for byte in JPEG),
    ],
    ids=["base64", "upper case", "percent"],
)
def test_an_embedded_image_is_kept(tmp_path: Path, uri: str) -> None:
    """A data: URI, base64 or percent-encoded, whatever type it claims."""
    got = Downloader(allow_local=False).fetch(uri, tmp_path, deadline=soon())
    assert (got.path.read_bytes(), got.mime, got.url) == (JPEG, "image/jpeg", None)


@pytest.mark.parametrize("piece", [3, 4, 5, 64])
@pytest.mark.parametrize("is_base64", [True, False])
def test_an_escape_may_lie_anywhere(piece: int, monkeypatch: pytest.MonkeyPatch, *, is_base64: bool) -> None:
    """A data: URI is decoded in pieces, and no escape is cut in two."""
    monkeypatch.setattr(downloads, "PIECE", piece)
    text = base64.b64encode(JPEG).decode().replace("A", "%41") if is_base64 else quote_from_bytes(JPEG)
    assert decode_data_uri(f"data:image/jpeg{';base64' if is_base64 else ''},{text}") == JPEG
    assert decode_data_uri("data:,%4") == b"%4"


@pytest.mark.parametrize(
    "uri", ["data:", "data:image/png;base64,%%%", "data:text/html,<script>", "data:image/png;base64,AAAA", "data:,"]
)
def test_an_embedded_anything_else_is_refused(tmp_path: Path, uri: str) -> None:
    """Malformed or no image: an error, and nothing is kept."""
    with pytest.raises(ImageError):
        Downloader(allow_local=False).fetch(uri, tmp_path, deadline=soon())
    assert list(tmp_path.iterdir()) == []


def test_an_embedded_flood_is_capped() -> None:
    """What is far above the cap is not even decoded."""
    with pytest.raises(ImageError, match="too long"):
        decode_data_uri("data:image/png;base64," + "A" * 3000, cap=1000)


def test_an_error_of_the_host_is_a_providers_error(host: Origin, tmp_path: Path) -> None:
    """A file that cannot be had now is not a bad image: the row can be tried again later."""
    host.fault("file", instead=[reply(b"", 500)])
    with pytest.raises(ProviderError):
        _fetch(host, tmp_path)
