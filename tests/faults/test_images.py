"""Outputs that are cut short, gone, no images, or far too large: nothing but whole images is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from acts import Act, Script, bomb, chunked, cut, endless, fin, page, reply, rst, unsized
from ledger import books
from monsters import huge
from origin import Origin, picture
from PIL import Image
from providers import soon

from imagen_nb.api import downloads
from imagen_nb.api.downloads import Downloader
from imagen_nb.errors import UncertainError
from imagen_nb.records import Status
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
    monkeypatch.setattr(downloads, "TRIES", 2)
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


def test_the_good_images_of_several_are_kept(ws: Workspace, api: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the second file of a prediction is no image, the first one stays with the row."""
    monkeypatch.setattr(downloads, "TRIES", 1)
    api.answer = lambda _: {"output": [f"{api.base_url}/files/{name}.jpg" for name in ("one", "two")]}
    api.fault("file", instead=[page(200)], skip=1)
    run = ws.generate("a fox")
    assert (run.status, len(run.images)) == (Status.FAILED, 1)
    assert run.images[0].path.is_file()


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
        downloads._decoding,
        downloads._decoding,
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
    assert (left.status, left.error_code, left.images) == (Status.EXPIRED, "gone", run.images)
    assert left.cost == pytest.approx(4 * 0.003)
    assert ws.log.verify() == []
