"""Files as inputs: every way of giving one, what goes where and how often, and what is refused before a create."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import monsters
import pytest
import requests
from acts import Act, hang, page, rst, says
from ledger import books, until
from origin import Origin, Seen
from PIL import Image as Picture
from providers import CANARY
from shells import session

from imagen_nb.api.http import TRIES
from imagen_nb.errors import ImagenError, InputError
from imagen_nb.log.log import Log
from imagen_nb.records import Run, Status
from imagen_nb.simulator import Simulator
from imagen_nb.workspace import Workspace

MANY = "bytedance/seedream-4"  # its `image_input` takes up to ten
ONE = "black-forest-labs/flux-kontext-pro"  # its `input_image` takes one
LARGE = 400_000
"""Bytes of a file that is uploaded."""


def encoded(colour: str, kind: str = "PNG") -> bytes:
    file = BytesIO()
    Picture.new("RGB", (64, 48), colour).save(file, kind)
    return file.getvalue()


def noise(number: int, size: int = LARGE) -> bytes:
    """A picture of about so many bytes, as nothing in it can be compressed."""
    side = int((size / 3) ** 0.5)
    pixels = random.Random(number).randbytes(3 * side * side)  # noqa: S311 - the same each time
    file = BytesIO()
    Picture.frombytes("RGB", (side, side), pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


def dot(*_: Any, **__: Any) -> bytes:
    return encoded("teal")


def sent_files(simulator: Simulator, run: Run) -> list[str]:
    """The SHA-256 of each file that the simulator got with this run's create."""
    hashes = {each["urls"]["get"]: each["checksums"]["sha256"] for each in simulator.files}
    given = next(each["input"] for each in simulator.predictions if each["id"] == run.prediction_id)
    urls = [url for name in run.request.files for url in _listed(given[name])]
    return [hashes[url] for url in urls if url in hashes]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with two pictures in it and a third beside a table."""
    monkeypatch.chdir(tmp_path)
    Path("a fox.png").write_bytes(encoded("red"))
    Path("owl.jpg").write_bytes(encoded("blue", "JPEG"))
    Path("tables").mkdir()
    Path("tables/hen.png").write_bytes(encoded("white"))
    table = f'prompt,image_input\nx,owl.jpg\ny,"[""owl.jpg"", ""hen.png""]"\nz,"{data_uri(encoded("green"))}"\n'
    Path("tables/prompts.csv").write_text(table, "utf-8")
    return tmp_path


def data_uri(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


FOX, OWL, HEN = sha256(encoded("red")), sha256(encoded("blue", "JPEG")), sha256(encoded("white"))
CELLS: dict[str, list[list[str]]] = {
    '%imagen -m MANY -p image_input="@a fox.png" x': [[FOX]],
    '%imagen -m MANY -p image_input="@a fox.png,@owl.jpg" x': [[FOX, OWL]],
    '%imagen -m MANY --vary image_input="@a fox.png|@owl.jpg" x': [[FOX], [OWL]],
    '%imagen -m ONE --vary input_image="@a fox.png|@owl.jpg" x': [[FOX], [OWL]],
    "%imagen -m ONE -p input_image={picture} x": [[FOX]],
    "%imagen -m ONE -p input_image={several} x": [[FOX], [OWL]],
    "%imagen --dry-run -m some/model -p whatever=@owl.jpg x": [[OWL]],
    "im.generate('x', model=ONE, input_image='a fox.png')": [[FOX]],
    "im.generate('x', model=ONE, input_image=Path('owl.jpg'))": [[OWL]],
    "im.generate('x', model=ONE, input_image=Path('a fox.png').read_bytes())": [[FOX]],
    "im.generate('x', model=ONE, input_image=picture)": [[FOX]],
    "im.generate('x', model=ONE, input_image=first)": [["first"]],
    "im.generate('x', model=ONE, input_image=first.images[0])": [["first"]],
    "im.generate('x', model=ONE, input_image=im.frame(status='succeeded').image.iloc[0])": [["first"]],
    "im.generate('x', model=ONE, input_image='data:image/png;base64,' + b64encode(fox).decode())": [[FOX]],
    "im.generate('x', model=ONE, input_image='https://example.com/fox.png')": [[]],
    "im.generate('x', model=MANY, image_input=['a fox.png', 'https://example.com/fox.png', picture])": [[FOX, FOX]],
    "im.run('x', model=ONE, input_image=['a fox.png', Path('owl.jpg')])": [[FOX], [OWL]],
    "im.run('x', model=MANY, image_input=[['a fox.png', 'owl.jpg'], [first]])": [[FOX, OWL], ["first"]],
    "im.run(im.plan(pd.DataFrame({'prompt': ['x', 'y'], 'input_image': ['owl.jpg', picture]}), model=ONE))": [
        [OWL],
        [FOX],
    ],
    "im.run(im.plan(im.plan('x', model=MANY, image_input=[['a fox.png', 'owl.jpg']]).frame()[COLUMNS]))": [[FOX, OWL]],
    "im.run(im.plan(im.frame(last=1)[COLUMNS]))": [[FOX, OWL]],
    "im.run(im.plan(Path('tables/prompts.csv'), model=MANY))": [[OWL], [OWL, HEN], [sha256(encoded("green"))]],
}


def test_every_way_of_giving_a_file_sends_just_that_file(home: Path, folder: Path) -> None:
    """Cells, Python, tables: the provider gets the bytes, the row names them, and the run's cell gives them again."""
    with Simulator(latency=0, paint=dot) as simulator, session(folder) as shell:
        shell.run("import imagen_nb as im, pandas as pd; from pathlib import Path; from base64 import b64encode")
        shell.run(f"from PIL import Image; from imagen_nb.shared import set_default_workspace as use; MANY = {MANY!r}")
        shell.run(f"ws = im.Workspace({str(home)!r}, provider={simulator.base_url!r}); use(ws); ONE = {ONE!r}")
        shell.run("fox = Path('a fox.png').read_bytes(); picture = Image.open('a fox.png'); several = [fox, 'owl.jpg']")
        shell.run("COLUMNS = ['model', 'prompt', 'image_input']")
        first = shell.run("first = im.generate('a red fox'); first")
        for cell, expected in CELLS.items():
            result = shell.run(re.sub(r"-m (MANY|ONE)", lambda found: f"-m {globals()[found[1]]}", cell))
            assert shell.error is None, (cell, shell.error)
            wanted = [[first.images[0].sha256 if each == "first" else each for each in some] for some in expected]
            runs = [result] if isinstance(result, Run) else list(result)
            requests = [run.request if isinstance(run, Run) else run for run in runs]
            files = [[each for some in request.files.values() for each in some] for request in requests]
            assert [[each.sha256 for each in some] for some in files] == wanted, cell
            assert all(sha256(each.path.read_bytes()) == each.sha256 for some in files for each in some)
            for run, hashes in zip(runs, wanted, strict=True):
                if not isinstance(run, Run):  # the plan for a model that the simulator does not have
                    continue
                assert sent_files(simulator, run) == hashes, cell
                assert run.parent == (first.id if first.images[0].sha256 in hashes else None), cell
        runs = shell.run("[run for run in ws.log.runs() if run.request.files]")
        for cell, run in {run.cell(): run for run in runs}.items():
            again = shell.run(cell)
            assert shell.error is None, (cell, shell.error)
            assert again.request.key == run.request.key, cell
        shell.run("use(None); ws.close()")


def test_the_row_and_the_frame_name_a_file_and_hold_none_of_its_bytes(home: Path) -> None:
    """Name and eight digits stand in the frame; the log is as large with a file of 10 MB as with an address."""
    Path("huge.png").write_bytes(encoded("red") + bytes(10_000_000))
    sizes = []
    for image in (["huge.png", "owl.jpg"], ["https://example.com/huge.png", "https://example.com/owl.jpg"]):
        place = home / str(len(sizes))
        with Simulator(latency=0, paint=dot) as simulator, Workspace(place, provider=simulator.base_url) as ws:
            run = ws.generate("x", model=MANY, image_input=image)
            assert run.status is Status.SUCCEEDED
            shown = ws.frame()["image_input"].iloc[0]
        sizes.append((place / "log.sqlite").stat().st_size)
        if len(sizes) == 1:
            assert json.loads(shown) == [
                f"huge.png {run.request.files['image_input'][0].sha256[:8]}",
                f"owl.jpg {OWL[:8]}",
            ]
            assert len(list((place / "images").rglob("*.*"))) == 3  # the files, each once, and the output
    assert abs(sizes[0] - sizes[1]) <= 2000


# -- how often ---------------------------------------------------------------------------------------------------------

SWEEP = """
import sys
from imagen_nb.workspace import Workspace
home, base_url, model, count, *files = sys.argv[1:]
with Workspace(home, provider=base_url, settle_s=0.6) as ws:
    plan = ws.plan("x {n}", n=[str(n) for n in range(int(count))], model=model, image_input=[[each] for each in files])
    runs = ws.run(plan, experiment="e", resume=True)
    print(len(runs), {str(run.status) for run in runs})
"""


@contextmanager
def sweeping(home: Path, simulator: Simulator, count: int, files: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that sends each prompt with each file; killed at the end, if it is still there."""
    command = [sys.executable, "-c", SWEEP, str(home), simulator.base_url, MANY, str(count), *files]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def uploaded(simulator: Simulator) -> int:
    return sum((each.method, each.path) == ("POST", "/v1/files") for each in simulator.requests)


def test_each_file_is_uploaded_once_whatever_dies_meanwhile(home: Path) -> None:
    """8 references and 10 prompts are 8 uploads and 80 creates, through a SIGKILL and `--resume`."""
    files = [f"reference {number}.png" for number in range(8)]
    for number, name in enumerate(files):
        Path(name).write_bytes(noise(number))
    with Simulator(latency=0.05, paint=dot) as simulator:
        with sweeping(home, simulator, 10, files):
            until(lambda: len(simulator.predictions) >= 24)
        assert len(simulator.predictions) < 80
        with sweeping(home, simulator, 10, files) as process:
            assert process.communicate(timeout=120)[0] == "80 {'succeeded'}\n"
        assert uploaded(simulator) == 8
        books(home, simulator).balance(80)
        with Log(home) as log:
            hashes = {run.prediction_id: run.request.files["image_input"][0].sha256 for run in log.runs()}
        at = {each["urls"]["get"]: each["checksums"]["sha256"] for each in simulator.files}
        for each in simulator.predictions:
            assert at[each["input"]["image_input"][0]] == hashes[each["id"]]
        assert set(Counter(hashes.values()).values()) == {10}


def test_an_upload_that_expires_in_mid_session_is_made_anew(home: Path) -> None:
    """It is used for as long as the provider says that it lives, and no create names one that is gone."""
    Path("large.png").write_bytes(noise(1))
    with (
        Simulator(latency=0, paint=dot, file_life=7200) as simulator,
        Workspace(home, provider=simulator.base_url) as ws,
    ):
        plan = ws.plan("x", model=MANY, image_input="large.png", repeat=3)
        for count in (1, 2):
            assert {run.status for run in ws.run(plan)} == {Status.SUCCEEDED}
            assert uploaded(simulator) == count
            kept = ws.log.find_upload(ws.provider.name, sha256(noise(1)))
            assert kept is not None
            assert kept.expires_at - kept.made_at == timedelta(hours=2)
            requests.delete(simulator.files[0]["urls"]["get"], timeout=10).raise_for_status()
            with closing(sqlite3.connect(home / "log.sqlite")) as log, log:  # two hours later
                log.execute("UPDATE uploads SET expires_at = made_at")


def test_an_upload_that_is_gone_before_its_time_is_made_anew(home: Path, folder: Path) -> None:
    """What another process uploaded is asked for once: it may be deleted by now, or another account's."""
    made(folder / "large.png", noise(1))
    with Simulator(latency=0, paint=dot) as simulator:
        for is_deleted, count in ((False, 1), (False, 1), (True, 2)):
            if is_deleted:
                requests.delete(simulator.files[0]["urls"]["get"], timeout=10).raise_for_status()
            with Workspace(home, provider=simulator.base_url) as ws:
                run = ws.generate("x", model=MANY, image_input="large.png")
            assert (run.status, uploaded(simulator)) == (Status.SUCCEEDED, count)


PEAK = """
import sys
from monsters import peak_mb
from imagen_nb.workspace import Workspace
home, base_url, model, *files = sys.argv[1:]
with Workspace(home, provider=base_url, jobs=4) as ws:
    ws.generate("first", model=model, image_input="owl.jpg")
    first = peak_mb()
    plan = ws.plan("x", model=model, image_input=[[each] for each in files])
    statuses = {str(run.status) for run in ws.run(plan)}
    print(statuses, peak_mb() - first)
"""


def test_memory_does_not_follow_the_size_of_the_files(home: Path) -> None:
    """Two references of 50 MB at once: the peak rises by 40 MB at most, less than one of them."""
    files = [f"{number}.png" for number in range(2)]
    for number, name in enumerate(files):
        Path(name).write_bytes(encoded("red") + bytes([number]) * 50_000_000)  # what follows a picture is not looked at
    with Simulator(latency=0, paint=dot) as simulator:
        command = [sys.executable, "-c", PEAK, str(home), simulator.base_url, MANY, *files]
        environment = {**os.environ, "PYTHONPATH": str(Path(monsters.__file__).parent)}
        done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=environment)
        status, peak = done.stdout.rsplit(None, 1)
        assert status == "{'succeeded'}"
        assert uploaded(simulator) == 2
    assert float(peak) <= 40


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.fixture
def api() -> Iterator[Origin]:
    """A provider that takes no uploads."""
    with Origin(token=CANARY) as started:
        yield started


@pytest.fixture
def ws(home: Path, api: Origin) -> Iterator[Workspace]:
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as opened:
        yield opened


def refused(ws: Workspace, api: Origin, **inputs: Any) -> ImagenError:
    """The error in its two lines, raised before anything was created."""
    with pytest.raises(ImagenError) as caught:
        ws.generate("x", timeout=3.0, **{"model": ONE, **inputs})
    assert not api.of("create")
    assert caught.value.message
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 2
    return caught.value


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a path that is not there": (lambda _: "a fax.png", r"no file .*a fax.png\nDid you mean a fox.png"),
    "a path of another folder": (lambda _: Path("/nowhere/x.png"), "no file /nowhere/x.png"),
    "text": (lambda _: "a red fox, " * 100, "no file 'a red fox"),
    "text over lines": (lambda _: "a red fox\nin snow", "no file"),
    "a folder": (lambda _: "../" + Path.cwd().name, r"is a folder\n.*Path\('\.\./.*'\)\.glob"),
    "an empty file": (lambda folder: made(folder / "empty.png", b""), "empty.png is empty"),
    "no bytes": (lambda _: b"", "is empty"),
    "a file one may not read": (lambda folder: locked(folder / "locked.png"), "locked.png cannot be read: Permission"),
    "a pipe": (lambda folder: piped(folder / "pipe"), "no regular file"),
    "a file over the limit": (lambda folder: sparse(folder / "huge.bin", 100_000_001), "larger than 100 MB"),
    "an address of another kind": (lambda _: "ftp://example.com/fox.png", "is an address"),
    "a data: URI that was cut": (lambda _: data_uri(encoded("red"))[:80] + "… (1234 characters)", "cut short"),
    "a data: URI of half a picture": (lambda _: data_uri(encoded("red")[:60]), "cut short"),
    "a run without a picture": (lambda _: Run("r", None, Status.FAILED), "no image"),  # type: ignore[arg-type]
    "a number": (lambda _: 7, "no file"),
    "an address without a host": (lambda _: "https://", "input_image cannot be 'https://'"),
    "an address with a space": (lambda _: "https://example.com/a fox.png", "input_image cannot be"),
}


def made(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def locked(path: Path) -> Path:
    made(path, b"x").chmod(0)
    return path


def piped(path: Path) -> Path:
    os.mkfifo(path)
    return path


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_file_is_said_before_anything_is_sent(ws: Workspace, api: Origin, folder: Path, kind: str) -> None:
    """Two lines that name it; no row, no request."""
    if kind == "a file one may not read" and os.geteuid() == 0:
        pytest.skip("nothing is locked for root")
    make, words = BAD[kind]
    error = refused(ws, api, input_image=make(folder))
    assert isinstance(error, InputError)
    assert re.search(words, str(error)), str(error)
    assert ws.log.count() == 0


def test_too_many_files_and_a_file_where_text_belongs_are_refused(ws: Workspace, api: Origin) -> None:
    """The schema says how many, and what takes none."""
    error = refused(ws, api, model=MANY, image_input=["owl.jpg"] * 11)
    assert "image_input takes 10 at most, and 11 are given" in error.message
    error = refused(ws, api, aspect_ratio=Path("owl.jpg"))
    assert "aspect_ratio cannot be a PosixPath" in error.message
    error = refused(ws, api, model="google/imagen-4", image="owl.jpg")
    assert "no parameter 'image'" in error.message or "nothing is called 'image'" in error.message
    error = refused(ws, api, model=ONE, input_image=["owl.jpg", Path("owl.jpg")])
    assert "has the value 'owl.jpg" in error.message
    with pytest.raises(InputError, match=r"input_image: there is no variable \{foxes\}\nDid you mean fox\?"):
        ws.plan("x", model=ONE, input_image="{foxes}", namespace={"fox": "owl.jpg"})
    with pytest.raises(InputError, match="the slot fox cannot be"):
        ws.plan("a {fox}", namespace={"fox": Path("owl.jpg")})


REFUSALS: dict[str, tuple[Act, str]] = {
    "401": (
        says({"detail": "Invalid token.", "status": 401}, 401),
        "does not accept the token",
    ),
    "413": (says({"detail": "Too large."}, 413), "Too large"),
    "429": (says({"detail": "Throttled.", "retry_after": 9999}, 429), "asks to wait"),
    "500": (page(500), "has failed"),
    "silence": (hang, "no whole reply .* in the time allowed"),
    "a reply that is no file": (
        says({"id": "f", "status": "ok"}, 201),
        "answer is about no file",
    ),
    "an address that is none": (
        says({"id": "f", "urls": {"get": "file:///etc/passwd"}}, 201),
        "answer is about no file",
    ),
    "an address in the open": (
        says({"id": "f", "urls": {"get": "http://example.com/f"}}, 201),
        "answer is about no file",
    ),
    "an address with a name": (
        says({"id": "f", "urls": {"get": "https://a:b@example.com/"}}, 201),
        "answer is about no file",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_an_upload_that_is_refused_creates_nothing(ws: Workspace, api: Origin, folder: Path, kind: str) -> None:
    """What the provider says comes with the file's name, and the row says the same."""
    act, words = REFUSALS[kind]
    api.fault("other", instead=[act])
    error = refused(ws, api, input_image=made(folder / "large.png", noise(1)))
    assert re.search(f"large.png could not be uploaded: .*{words}", error.message), error.message
    (run,) = ws.log.runs()
    assert (run.status, run.error, run.prediction_id) == (Status.FAILED, error.message, None)


def test_a_sweep_that_is_canceled_uploads_no_further(ws: Workspace, api: Origin, folder: Path) -> None:
    """Those that wait for the upload of another stop too, and nothing was created."""
    api.fault("other", instead=[hang])
    runs = ws.submit(ws.plan("x", model=ONE, input_image=made(folder / "large.png", noise(1)), repeat=2))
    until(lambda: bool(api.of("other")))
    assert runs.cancel().is_done_within(5.0)
    assert {(run.status, run.prediction_id) for run in runs} == {(Status.CANCELED, None)}
    assert not api.of("create")


@pytest.mark.parametrize(
    "act", [says({"detail": "Not found."}, 404), page(200), page(404)], ids=["404", "HTML", "page"]
)
def test_without_uploads_a_file_goes_within_the_request_up_to_a_limit(
    ws: Workspace, api: Origin, folder: Path, act: Act
) -> None:
    """A gateway without /v1/files gets `data:` URIs, and is asked no more; what is too large for that is refused."""
    api.fault("other", instead=[act])
    content = noise(1)
    runs = ws.run("x", model=ONE, input_image=made(folder / "large.png", content), repeat=3, jobs=1)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    uri = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    assert [bill.input["input_image"] for bill in api.bills] == [uri] * 3
    assert len(api.of("other")) <= TRIES
    with pytest.raises(ImagenError, match=r"huge.bin is larger than the 10 MB .* takes no uploads"):
        ws.generate("x", model=ONE, input_image=sparse(folder / "huge.bin", 10_000_001))
    assert len(api.bills) == 3


def test_an_old_upload_that_cannot_be_asked_for_is_made_anew(home: Path, folder: Path) -> None:
    """Whether it is there is not known, so that a new one is: no run ends, and none is uncertain."""
    made(folder / "large.png", noise(1))
    with Origin(token=CANARY) as api:
        store = storing(api.base_url)
        api.fault("other", instead=lambda seen: [page(500)] if seen.method == "GET" else store(seen))
        for count in (1, 2):
            with Workspace(home, provider=api.base_url, token=CANARY) as ws:
                assert ws.generate("x", model=ONE, input_image="large.png").status is Status.SUCCEEDED
            assert sum(each.method == "POST" for each in api.of("other")) == count


# -- money, and the token ----------------------------------------------------------------------------------------------


def storing(links: str) -> Callable[[Seen], list[Act]]:
    """Uploads as a provider takes them, each at an address of its own there."""
    hashes: dict[str, str] = {}

    def act(seen: Seen) -> list[Act]:
        if seen.method == "GET":
            return [says({"id": seen.path.rpartition("/")[2]})]
        identifier = hashes.setdefault(sha256(seen.body), f"file{len(hashes)}")
        return [says({"id": identifier, "urls": {"get": f"{links}/stored/{identifier}"}}, 201)]

    return act


def test_creates_that_are_lost_are_told_by_the_address_of_their_file(ws: Workspace, api: Origin, folder: Path) -> None:
    """The same prompt with other files, and every reply lost: each row gets the prediction of its own file."""
    api.fault("other", instead=storing(api.base_url))
    api.fault("create", after=[rst])
    names = [made(folder / f"{number}.png", noise(number)) for number in range(4)]
    runs = ws.run("x", model=ONE, input_image=names)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    books(ws.log, api).balance(4)
    uploads = ws.log.upload_hashes(ws.provider.name)
    for run in runs:
        bill = api.bill(str(run.prediction_id))
        assert bill is not None
        assert uploads[bill.input["input_image"]] == run.request.input["input_image"].sha256


@pytest.mark.parametrize("count", [1, 2])
def test_what_may_be_of_either_file_goes_to_neither_and_is_never_sent_again(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The list shows copies of the service's own in place of what was sent: one alone is found, two stay unknown."""
    monkeypatch.setattr("imagen_nb.sweeps.recover.WITNESS_S", 1.0)

    def rehosted(bills: list[Any]) -> list[Any]:
        return [replace(bill, input={**bill.input, "input_image": f"https://e.org/{bill.id}"}) for bill in bills]

    with Origin(token=CANARY, shows=rehosted, list_lag=0.5) as api:  # it shows both, or none
        api.fault("create", after=[rst])
        names = [made(folder / f"{number}.png", noise(number, 3000)) for number in range(count)]
        with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as ws:
            runs = ws.run("x", model=ONE, input_image=names)
            assert len(api.bills) == len(api.of("create")) == count
            if count == 1:
                assert runs[0].status is Status.SUCCEEDED
            else:
                assert {(run.status, run.error_code) for run in runs} == {(Status.UNKNOWN, "uncertain")}
                api.shows = lambda bills: bills  # as they were sent
                assert {run.status for run in ws.reconcile()} == {Status.SUCCEEDED}
            for run in ws.log.runs():
                uri = str(next(bill for bill in api.bills if bill.id == run.prediction_id).input["input_image"])
                assert sha256(base64.b64decode(uri.partition(",")[2])) == run.request.input["input_image"].sha256
        books(home, api).balance(count)


def test_what_is_adopted_has_its_files(home: Path, folder: Path) -> None:
    """An address of an upload of ours, and a `data:` URI, are the files that they were; others stay addresses."""
    contents = [noise(1), noise(2, 20_000)]
    made(folder / "large.png", contents[0])
    with Origin() as api, Workspace(home, provider=api.base_url) as ws:
        api.fault("other", instead=storing(api.base_url))
        ws.generate("x", model=MANY, image_input="large.png")
        given = [*api.bills[0].input["image_input"], data_uri(contents[1]), "https://example.com/owl.jpg"]
        address = f"{api.base_url}/v1/models/{MANY}/predictions"
        stray = requests.post(address, json={"input": {"prompt": "y", "image_input": given}}, timeout=10).json()
        (run,) = ws.reconcile(adopt=[stray["id"]])
        *files, url = run.request.input["image_input"]
        assert ([each.path.read_bytes() for each in files], url) == (contents, given[2])
        assert given[1][-5000:].encode() not in (home / "log.sqlite").read_bytes()


def test_an_uploads_address_gets_neither_a_visit_nor_the_token(home: Path, folder: Path) -> None:
    """It goes into the input as it is; nothing is ever asked there."""
    with Origin() as elsewhere, Origin(token=CANARY) as api, Workspace(home, provider=api.base_url, token=CANARY) as ws:
        api.fault("other", instead=storing(elsewhere.base_url))
        made(folder / "large.png", noise(1))
        for _ in range(2):
            assert ws.generate("x", model=ONE, input_image="large.png").status is Status.SUCCEEDED
        assert {bill.input["input_image"] for bill in api.bills} == {f"{elsewhere.base_url}/stored/file0"}
        assert not elsewhere.seen
        uploads = [each for each in api.of("other") if each.method == "POST"]
        assert [each.headers["authorization"] for each in uploads] == [f"Bearer {CANARY}"]
        assert noise(1) in uploads[0].body
