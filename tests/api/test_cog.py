"""Pictures from a model on this machine: Cog's own HTTP server, the real one, with a predictor of a few lines."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image as Pictures
from providers import eventually

from imagen_nb.api.cog import open_api
from imagen_nb.cli.doctor import doctor
from imagen_nb.errors import InputError, UnreachableError
from imagen_nb.records import Run, Status
from imagen_nb.settings import Provider
from imagen_nb.workspace import Workspace

pytest.importorskip("coglet")
READY_S = 60.0
"""A machine that is busy takes its time to start two processes."""

PREDICTOR = """
import time
from cog import BaseRunner, Input, Path
from PIL import Image


class Runner(BaseRunner):
    def run(
        self, prompt: str, shade: int = Input(default=7, ge=0, le=255), seconds: float = 0.05, image: Path = None
    ) -> Path:
        if image is not None:
            shade = Image.open(image).convert("L").getpixel((0, 0))
        with open("made", "a") as made:
            made.write(f"{prompt}, {shade}\\n")
        if "[fail]" in prompt:
            raise ValueError("no such animal")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.02)
        Image.new("RGB", (48, 32), (shade, shade, shade)).save("out.png")
        return Path("out.png")
"""
SCHEMA = {
    "openapi": "3.0.2",
    "info": {"title": "Cog", "version": "0.1.0"},
    "paths": {"/predictions": {"post": {}}, "/predictions/{prediction_id}": {"put": {}}},
    "components": {
        "schemas": {
            "Input": {
                "type": "object",
                "title": "Input",
                "required": ["prompt"],
                "properties": {
                    "prompt": {"type": "string", "title": "Prompt", "x-order": 0},
                    "shade": {"type": "integer", "default": 7, "minimum": 0, "maximum": 255, "x-order": 1},
                    "seconds": {"type": "number", "default": 0.05, "x-order": 2},
                    "image": {"type": "string", "format": "uri", "x-order": 3},
                },
            },
            "Output": {"type": "string", "format": "uri", "title": "Output"},
        }
    },
}


class CogServer:
    """`python -m cog.server.http` in a folder of its own, on a port of this machine, as `cog build` would leave it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "predict.py").write_text(PREDICTOR)
        (folder / ".cog").mkdir()
        (folder / ".cog/openapi_schema.json").write_text(json.dumps(SCHEMA))
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = int(taken.getsockname()[1])
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> CogServer:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # its worker is started as `python`
        named = {"COG_PREDICT_TYPE_STUB": "predict.py:Runner", "PORT": str(self.port), "PATH": path}
        command = [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1"]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env={**os.environ, **named}, stdout=log, stderr=log, start_new_session=True
            )
        eventually(self.is_idle, READY_S)
        return self

    def is_idle(self) -> bool:
        """Whether it is there, and at work on nothing."""
        try:
            return bool(requests.get(f"{self.base_url}/health-check", timeout=2).json()["status"] == "READY")
        except OSError:
            return False

    def kill(self) -> None:
        """End it and its worker without a last word."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    @property
    def made(self) -> list[str]:
        """Prompts and shades that it has been at work on, in order."""
        file = self.folder / "made"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CogServer]:
    server = CogServer(tmp_path_factory.mktemp("cog")).start()
    yield server
    server.kill()


@pytest.fixture
def ws(home: Path, served: CogServer) -> Iterator[Workspace]:
    with Workspace(home, provider=served.base_url) as opened:
        yield opened


def shade_of(run: Run) -> int:
    with Pictures.open(run.images[0].path) as picture:
        return int(picture.convert("L").getpixel((5, 5)))  # type: ignore[arg-type] # a number in this mode


def test_it_is_known_by_its_schema(ws: Workspace, served: CogServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Its model, its inputs and their limits come from it; the doctor says what it is; a picture costs nothing."""
    assert ws.model == "Cog"
    assert list(ws.spec().params) == ["prompt", "shade", "seconds", "image"]
    with pytest.raises(InputError, match="255"):
        ws.plan("a fox", shade=256)
    with pytest.raises(InputError, match="one model, Cog"):
        ws.plan("a fox", model="google/imagen-4")
    made = len(served.made)
    run = ws.generate("a fox", shade=99)
    assert (run.status, run.request.model, shade_of(run), run.cost) == (Status.SUCCEEDED, "Cog", 99, 0.0)
    assert (run.images[0].width, run.images[0].height, run.images[0].mime) == (48, 32, "image/png")
    frame = ws.frame()
    assert frame[["model", "cost_source"]].iloc[0].tolist() == ["Cog", "local"]
    assert frame.total_s.iloc[0] >= frame.predict_s.iloc[0] > 0
    assert served.made[made:] == ["a fox, 99"]
    assert doctor(home=str(ws.home), provider=served.base_url) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Cog's HTTP server with the model Cog" in said


def test_it_takes_a_file_however_large(ws: Workspace, tmp_path: Path) -> None:
    """Within the request, as it has no uploads."""
    path = tmp_path / "grey.png"
    Pictures.frombytes("RGB", (600, 600), bytes([77] * 3) + os.urandom(600 * 600 * 3 - 3)).save(path)
    run = ws.generate("a fox", image=path)
    assert (run.status, shade_of(run)) == (Status.SUCCEEDED, 77)


def test_a_failure_is_a_result_and_a_bad_input_an_error(ws: Workspace) -> None:
    """The predictor's own words stand in the row."""
    failed = ws.generate("a [fail] fox")
    assert (failed.status, failed.images) == (Status.FAILED, ())
    assert "no such animal" in str(failed.error)


def test_forty_predictions_outlive_a_killed_server(home: Path, tmp_path: Path) -> None:
    """16 at once at a server that takes one: each waits its turn, a lost one is put again, each row has its picture."""
    (tmp_path / "server").mkdir()
    server = CogServer(tmp_path / "server").start()
    try:
        with Workspace(home, provider=server.base_url) as ws:
            runs = ws.submit(ws.plan("a fox", shade=list(range(0, 240, 6))), jobs=16)
            eventually(lambda: len(runs) >= 12, READY_S)
            server.kill()
            time.sleep(0.3)
            server.start()
            runs.is_done_within(READY_S)
            assert [run.status for run in runs] == [Status.SUCCEEDED] * 40
            assert runs.error is None
            assert [shade_of(run) for run in runs] == list(range(0, 240, 6))
            assert len(set(server.made)) == 40
            assert len(server.made) <= 42  # what was at work when it was killed was made again
            assert len({run.prediction_id for run in runs}) == 40
            assert ws.frame().status.value_counts().to_dict() == {"succeeded": 40}
    finally:
        server.kill()


def test_cancel_and_timeout_end_what_the_server_is_at(ws: Workspace, served: CogServer) -> None:
    """The server is free soon after, and the rows say why they have no picture."""
    began = time.monotonic()
    late = ws.generate("a slow fox", seconds=60, timeout=1.0)
    assert time.monotonic() - began < 20
    assert (late.status, late.error_code) == (Status.CANCELED, "timeout")
    eventually(served.is_idle, 20)
    runs = ws.submit(ws.plan("a {slow|very slow} fox", seconds=60), jobs=2)
    eventually(lambda: not served.is_idle(), 20)
    runs.cancel()
    assert runs.is_done_within(30)
    assert {run.status for run in runs} <= {Status.CANCELED}
    eventually(served.is_idle, 20)


@pytest.mark.parametrize("dies", ["at work", "before its picture is kept"])
def test_what_a_dead_notebook_left_is_put_again(home: Path, served: CogServer, dies: str) -> None:
    """A prediction is waited for, or made again, under its own id; none is made twice meanwhile."""
    code = f"""
import os
from imagen_nb.log.log import Log
from imagen_nb.workspace import Workspace
if {dies != "at work"}:
    Log.settle = lambda *_, **__: os._exit(9)
ws = Workspace({str(home)!r}, provider={served.base_url!r})
ws.run(ws.plan("a {{red|blue|grey}} owl", seconds=0.5), experiment="owls", jobs=3)
"""
    before = len(served.made)
    notebook = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    if dies == "at work":
        eventually(lambda: len(served.made) > before, READY_S)
        os.killpg(notebook.pid, signal.SIGKILL)
    notebook.wait(READY_S)
    with Workspace(home, provider=served.base_url) as ws:
        runs = ws.run(ws.plan("a {red|blue|grey} owl", seconds=0.5), experiment="owls", resume=True)
        assert [run.status for run in runs] == [Status.SUCCEEDED] * 3
        assert len(ws.frame()) == 3
    assert len(served.made) - before <= 5


def test_nobody_there_is_said_and_asked_again(home: Path, tmp_path: Path) -> None:
    """A server that is started after the notebook is found."""
    (tmp_path / "server").mkdir()
    server = CogServer(tmp_path / "server")
    with Workspace(home, provider=server.base_url, model="google/imagen-4") as ws:
        with pytest.raises(UnreachableError):
            ws.generate("a fox")
        try:
            server.start()
            assert ws.generate("a fox").request.model == "Cog"
        finally:
            server.kill()


SERVICE = {"paths": {"/predictions": {"get": {}, "post": {}}, "/models/{model_owner}/{model_name}": {"get": {}}}}
INDEX = {"predictions_url": "/predictions", "openapi_url": "/openapi.json"}


@pytest.mark.parametrize(
    ("pages", "name", "is_provisional"),
    [
        ({"/openapi.json": (200, SCHEMA)}, "Cog", False),
        ({"/openapi.json": (200, {**SCHEMA, "info": {"title": "My fox model!"}})}, "My-fox-model", False),
        ({"/openapi.json": (200, {**SCHEMA, "info": {}})}, "local", False),
        ({"/openapi.json": (200, SERVICE)}, None, False),
        ({"/openapi.json": (200, {"paths": []})}, None, False),
        ({"/openapi.json": (500, {})}, None, False),
        ({}, None, False),
        ({"/openapi.json": (503, {}), "/": (200, INDEX), "/health-check": (200, {"status": "READY"})}, "local", False),
        (
            {"/openapi.json": (503, {}), "/": (200, INDEX), "/health-check": (200, {"status": "STARTING"})},
            "local",
            True,
        ),
        ({"/openapi.json": (503, {})}, None, False),
    ],
)
def test_what_is_no_such_server_is_left_alone(pages: dict[str, Any], name: str | None, is_provisional: bool) -> None:
    """The service's own specification names that path too; a server without a schema has no say in inputs."""
    with pages_at(pages) as (base_url, asked):
        api = open_api(Provider(base_url, base_url))
        assert (api.only_model, api.is_provisional) == (name, is_provisional)
        assert asked[0] == "/openapi.json"
        api.close()
        asked.clear()
        open_api(Provider("replicate", base_url)).close()
        assert asked == []


@contextmanager
def pages_at(pages: Mapping[str, tuple[int, Any]]) -> Iterator[tuple[str, list[str]]]:
    """A server of these JSON pages: its address, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, page = pages.get(self.path, (404, {}))
            body = json.dumps(page).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join(5)
