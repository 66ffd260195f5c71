"""Outputs that are cut short, gone, no images, or far too large: nothing but whole images is kept."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from acts import Act, Script, bomb, chunked, cut, endless, fin, hang, page, reply, rst, unsized
from ledger import books
from monsters import huge
from origin import Origin, Seen, picture
from PIL import Image
from providers import soon

from imagen_nb.api import downloads, image_files
from imagen_nb.api.downloads import Downloader
from imagen_nb.errors import UncertainError
from imagen_nb.records import Status
from imagen_nb.sweeps import collect
from imagen_nb.workspace import Workspace

WHOLE = picture()
HALF = WHOLE[: len(WHOLE) // 2]
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
CUT: dict[str, Script] = {
    "by length": cut(WHOLE, len(HALF)),
    "by chunk": chunked(HALF, is_whole=False),
    "without length": unsized(HALF),
    "whole chunks of half an image": chunked(HALF),
    "before it began": [fin],
    "reset": [rst],
    "empty": [reply(b"")],
}


def kept(ws: Workspace) -> list[Path]:
    """Every file in the home that holds an image, or was to."""
    return [path for part in ("images", "temp") for path in (ws.home / part).rglob("*") if path.is_file()]


@pytest.mark.parametrize("script", CUT.values(), ids=CUT)
def test_an_image_cut_short_is_fetched_again(ws: Workspace, api: Origin, script: Script) -> None:
    """Nothing is published of half an image; the next try brings it whole."""
    api.fault("file", instead=script, times=2)
    run = ws.generate("a fox")
    assert run.status is Status.SUCCEEDED
    assert kept(ws) == [run.images[0].path]
    with Image.open(run.images[0].path) as whole:
        whole.load()
    books(ws.log, api).balance(1)


@pytest.mark.parametrize("script", [CUT["by length"], CUT["without length"]], ids=["by length", "without length"])
def test_an_image_that_stays_cut_short_leaves_nothing_behind(
    ws: Workspace, api: Origin, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row says so, no file is there; where it may be the connection's fault, reconcile() fetches it later."""
    monkeypatch.setattr(downloads, "TRIES", 2)
    api.fault("file", instead=script)
    run = ws.generate("a fox")
    assert run.status is (Status.UNKNOWN if script is CUT["by length"] else Status.FAILED)
    assert run.error
    assert kept(ws) == []
    api.heal()
    if run.status is Status.UNKNOWN:
        assert ws.reconcile()[0].status is Status.SUCCEEDED
        books(ws.log, api).balance(1)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_an_image_that_is_gone_is_expired_and_its_request_kept(
    ws: Workspace, api: Origin, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour later the image is lost, and the prompt and the parameters are not."""
    monkeypatch.setattr(collect, "RENEWALS", 1)
    api.fault("file", instead=[reply(b"gone", status)])
    run = ws.generate("a fox", aspect_ratio="16:9")
    assert (run.status, run.error_code, run.images) == (Status.EXPIRED, "gone", ())
    row = ws.frame().iloc[0]
    assert (row.prompt, row.aspect_ratio, row.status) == ("a fox", "16:9", "expired")
    assert "16:9" in run.cell()


def test_an_output_that_the_provider_has_deleted_is_expired(ws: Workspace, api: Origin) -> None:
    """`output` null with `data_removed` is no failure of the prediction."""
    api.answer = lambda _: {"output": None, "data_removed": True}
    run = ws.generate("a fox")
    assert (run.status, run.error_code) == (Status.EXPIRED, "gone")


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (page(200, "Sign in"), "HTML"),
        (reply(SVG, content_type="image/png"), "SVG"),
        (reply(b"<svg/>" + WHOLE, content_type="image/jpeg"), "SVG"),
        (reply(b"%PDF-1.7" + b" " * 99, content_type="image/jpeg"), "not known"),
        (reply(b"MZ" + b"\0" * 99, content_type="image/png"), "not known"),
    ],
    ids=["HTML", "SVG", "SVG before a JPEG", "PDF", "a program"],
)
def test_what_is_no_image_is_refused_whatever_it_says_it_is(
    ws: Workspace, api: Origin, act: Act, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes decide, not the type in the header; nothing of it is kept or shown."""
    monkeypatch.setattr(downloads, "TRIES", 2)
    api.fault("file", instead=[act])
    run = ws.generate("a fox")
    assert (run.status, run.error_code) == (Status.FAILED, "image")
    assert said in str(run.error)
    assert kept(ws) == []
    assert "<script" not in ws.show(run)["text/html"]


def turned() -> bytes:
    """A JPEG that lies on its side, 64 x 32, and says so."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.linear_gradient("L").resize((64, 32)).save(file, "JPEG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize(
    ("act", "size"),
    [
        (reply(WHOLE + bytes(9000)), (64, 64)),
        (reply(picture("PNG") + b"<html>" * 2000), (64, 64)),
        (reply(picture("PNG"), content_type="image/svg+xml"), (64, 64)),
        (reply(turned()), (32, 64)),
    ],
    ids=["zeros behind a JPEG", "HTML behind a PNG", "a PNG by another name and type", "turned by EXIF"],
)
def test_what_decodes_whole_is_whole_and_as_one_sees_it(
    ws: Workspace, api: Origin, act: Act, size: tuple[int, int]
) -> None:
    """Trailing bytes and wrong names cost no picture, and the log has width and height as they are seen."""
    api.answer = lambda _: {"output": f"  {api.files_url}/files/a.jpg\r\n"}
    api.fault("file", instead=[act])
    run = ws.generate("a fox")
    assert (run.status, run.error) == (Status.SUCCEEDED, None)
    row = ws.frame().iloc[0]
    assert (row.width, row.height) == (run.images[0].width, run.images[0].height) == size
    assert len(api.of("file")) == 1


def several(api: Origin, count: int = 4) -> list[str]:
    """The provider gives so many outputs, and these are their addresses."""
    urls = [f"{api.files_url}/files/{number}.jpg" for number in range(1, count + 1)]
    api.answer = lambda _: {"output": urls}
    return urls


def sabotage(api: Origin, number: int, act: Act, times: int | None = None) -> None:
    """Play the act at the output of that number, and at no other."""

    def script(seen: Seen) -> Script:
        return [act if seen.path == f"/files/{number}.jpg" else api.respond(seen)]

    api.fault("file", instead=script, times=times)


UNUSABLE: dict[str, tuple[Act, str]] = {
    "gone": (reply(b"", 404), "is gone"),
    "JSON": (reply(b'{"seed": 7}', content_type="application/json"), "cannot be used"),
    "damaged": (reply(HALF), "cannot be used"),
    "too large": (reply(huge(), content_type="image/png"), "cannot be used"),
}


@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("kind", UNUSABLE)
def test_each_output_counts_for_itself(
    ws: Workspace, api: Origin, number: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of four is gone or no image, wherever it stands: the others are had, and the row says which is missing."""
    monkeypatch.setattr(downloads, "TRIES", 1)
    monkeypatch.setattr(collect, "RENEWALS", 0)
    urls = several(api)
    act, said = UNUSABLE[kind]
    sabotage(api, number, act)
    run = ws.generate("a fox", model="black-forest-labs/flux-schnell", num_outputs=4)
    assert run.status is Status.SUCCEEDED
    assert [image.url for image in run.images] == [url for url in urls if not url.endswith(f"/{number}.jpg")]
    assert str(run.error).startswith(f"1 of 4 outputs is missing: no. {number} {said}")
    assert run.cost == pytest.approx(4 * 0.003)
    assert len(ws.reconcile()) == 0


def test_an_output_of_a_kind_that_is_never_fetched_costs_no_other(ws: Workspace, api: Origin) -> None:
    """An address that is refused, or that nobody can read, stands before a good one."""
    api.answer = lambda _: {"output": ["http://169.254.169.254/a.jpg", "data:broken", f"{api.files_url}/files/a.jpg"]}
    run = ws.generate("a fox")
    assert (run.status, len(run.images)) == (Status.SUCCEEDED, 1)
    assert "2 of 3 outputs are missing: no. 1 cannot be used" in str(run.error)


def test_what_may_come_later_keeps_the_row_open_and_is_fetched_then(
    ws: Workspace, api: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of four cannot be had now: the others are kept, and reconcile() fetches the one."""
    monkeypatch.setattr(downloads, "TRIES", 1)
    urls = several(api)
    sabotage(api, 1, reply(b"", 503))
    run = ws.generate("a fox")
    assert (run.status, [image.url for image in run.images]) == (Status.UNKNOWN, urls[1:])
    assert str(run.error).startswith("1 of 4 outputs is missing: no. 1 may come later")
    api.heal()
    sabotage(api, 3, reply(b"", 404))  # meanwhile another has gone, that was had before
    monkeypatch.setattr(collect, "RENEWALS", 0)
    (left,) = ws.reconcile()
    assert (left.status, sorted(image.url for image in left.images)) == (Status.SUCCEEDED, urls)
    assert left.error == "4 images came, 1 was asked for"
    assert ws.log.verify() == []


def test_a_slow_output_takes_no_time_of_those_behind_it(
    ws: Workspace, api: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of four hangs for as long as all may take: the three others are had."""
    monkeypatch.setattr(collect, "DOWNLOAD_S", 4.0)
    several(api)
    sabotage(api, 1, hang)
    run = ws.generate("a fox")
    assert (run.status, len(run.images)) == (Status.UNKNOWN, 3)


def test_an_expired_address_is_renewed(ws: Workspace, api: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signed URL of two has expired twice: a fresh look at the prediction gives a new one, and the image is had."""
    monkeypatch.setattr(collect, "backoff", lambda *_, **__: 0.05)
    looks = itertools.count(1)
    api.answer = lambda _: {"output": [f"{api.files_url}/files/{n}.jpg?sig={next(looks)}" for n in (1, 2)]}

    def script(seen: Seen) -> Script:
        is_old = seen.path == "/files/2.jpg" and int(seen.query.removeprefix("sig=")) < 6
        return [reply(b"expired", 403) if is_old else api.respond(seen)]

    api.fault("file", instead=script)
    run = ws.generate("a fox")
    assert (run.status, run.error, len(run.images)) == (Status.SUCCEEDED, "2 images came, 1 was asked for", 2)
    assert len(api.of("get")) == 2
    assert [seen.path for seen in api.of("file")] == ["/files/1.jpg", *["/files/2.jpg"] * 3]


def test_an_expired_address_is_no_end_while_the_provider_does_not_answer(
    ws: Workspace, api: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a fresh look nobody knows whether the image is gone: the row stays open, and reconcile() fetches it."""
    monkeypatch.setattr(collect, "DOWNLOAD_S", 2.0)
    api.fault("file", instead=[reply(b"", 403)])
    api.fault("get", instead=[reply(b"", 500)])
    run = ws.generate("a fox")
    assert run.status is Status.UNKNOWN
    api.heal()
    assert ws.reconcile()[0].status is Status.SUCCEEDED


@pytest.mark.parametrize(
    "make",
    [
        lambda: [bomb(200)],
        lambda: [endless()],
        lambda: [endless(start=WHOLE)],
        lambda: [reply(huge(), content_type="image/png")],
    ],
    ids=["gzip bomb", "endless", "endless after an image", "200 megapixels"],
)
def test_an_image_without_measure_is_capped(
    ws: Workspace, api: Origin, make: Callable[[], Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes and pixels have bounds; the row says which was passed, and the next request works."""
    monkeypatch.setattr(downloads, "TRIES", 1)
    api.fault("file", instead=make(), times=1)
    run = ws.generate("a fox")
    assert (run.status, run.error_code) == (Status.FAILED, "image")
    assert "larger than" in str(run.error) or "pixels" in str(run.error)
    assert kept(ws) == []
    assert ws.generate("an owl").status is Status.SUCCEEDED


def test_a_stop_while_others_decode_is_an_error_like_any_other(api: Origin, tmp_path: Path) -> None:
    """Who waits for a turn to decode and is stopped says so in the package's own words, and leaves no file."""
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with (
        image_files._decoding,
        pytest.raises(UncertainError, match="stopped"),
    ):
        Downloader(allow_local=True).fetch(f"{api.base_url}/files/a.jpg", tmp_path, deadline=soon(), stop=stop)
    assert list(tmp_path.iterdir()) == []


def test_what_was_had_before_the_rest_was_gone_is_kept(ws: Workspace, api: Origin) -> None:
    """Three of four images arrived, the fourth is deleted when reconcile() comes: the three stay the row's."""
    urls = [f"{api.files_url}/files/{number}.jpg" for number in range(4)]
    api.answer = lambda _: {"output": urls}
    api.fault("file", instead=[rst], skip=3)
    plan = ws.plan("a fox", model="black-forest-labs/flux-schnell", num_outputs=4)
    (run,) = ws.run(plan, hold=0)
    assert (run.status, len(run.images)) == (Status.UNKNOWN, 3)
    api.answer = lambda _: {"output": None, "data_removed": True}
    (left,) = ws.reconcile()
    assert (left.status, left.error_code, left.images) == (Status.SUCCEEDED, "gone", run.images)
    assert "missing" in str(left.error)
    assert left.cost == pytest.approx(4 * 0.003)
    assert ws.log.verify() == []
