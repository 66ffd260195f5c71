"""One token, many mishaps, and a search of everything that was written, shown or sent: no byte of it is anywhere."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from acts import Act, page, redirect, rst, says
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from origin import Origin
from shells import session

import imagen_nb.accessor  # noqa: F401 - gives frames their .imagen
from imagen_nb.errors import ImagenError
from imagen_nb.records import Run, Status
from imagen_nb.workspace import Workspace

TOKEN = "r8_7Fq2kXvNcanaryZ0pWbT4sLhRmYd9JgAeUi"
PIECES = (TOKEN, TOKEN[3:25], TOKEN.encode().hex(), "cjhfN0ZxMmtYdk5jYW5hcnla")
"""The token, its middle, and how it begins in hexadecimal and in base64."""


@pytest.fixture
def elsewhere() -> Iterator[Origin]:
    with Origin() as other:
        yield other


@pytest.fixture
def provider(elsewhere: Origin, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origin]:
    """A provider whose files and links are elsewhere; the token comes from the environment, and there is a netrc."""
    netrc = Path.home() / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password other-secret\ndefault login me password other-secret\n")
    netrc.chmod(0o600)
    with Origin(token=TOKEN, files=elsewhere, links=elsewhere, list_lag=0.1) as api:
        monkeypatch.setenv("IMAGEN_NB_PROVIDER", api.base_url)
        monkeypatch.setenv("IMAGEN_NB_TOKEN", TOKEN)
        yield api


MISHAPS: list[tuple[str, str, Act]] = [
    ("create", "instead", says({"detail": f"Invalid token {TOKEN}.", "status": 401}, 401)),
    ("create", "instead", says({"detail": f"no credit for {TOKEN}"}, 402)),
    ("create", "instead", says({"error": {"message": f"bad {TOKEN}", "code": None}}, 400)),
    ("create", "instead", page(404, TOKEN)),
    ("create", "instead", redirect(f"http://127.0.0.1:1/?token={TOKEN}")),
    ("create", "after", rst),
    ("create", "after", page(502, TOKEN)),
    ("get", "instead", rst),
    ("get", "instead", page(500, TOKEN)),
    ("get", "instead", says({"detail": TOKEN}, 403)),
    ("file", "instead", page(200, "Sign in")),
    ("file", "instead", redirect("http://127.0.0.1:1/")),
]


def bad_day(ws: Workspace, api: Origin, elsewhere: Origin) -> tuple[list[Run], list[ImagenError]]:
    """What came of one request a mishap."""
    runs, errors = [], []
    for kind, when, act in MISHAPS:
        where = elsewhere if kind == "file" else api
        where.fault(kind, **{when: [act]}, times=1)  # type: ignore[arg-type] # a script by either name
        try:
            (run,) = ws.run(ws.plan(f"a fox {kind}", aspect_ratio="16:9"), experiment="bad day", hold=0, timeout=10)
            runs.append(run)
        except ImagenError as error:
            errors.append(error)
        where.heal()
    return runs, errors


def found_in(*folders: Path) -> list[str]:
    """The files under the folders that have a piece of the token in them, or in their names."""
    files = [path for folder in folders for path in folder.rglob("*")]
    contents = {path: path.read_bytes() if path.is_file() else b"" for path in files}
    return [str(path) for path, data in contents.items() if any(p in str(path) or p.encode() in data for p in PIECES)]


def is_clean(text: str | bytes) -> bool:
    data = text if isinstance(text, bytes) else text.encode()
    return not any(piece.encode() in data for piece in PIECES)


def test_no_byte_of_the_token_is_in_any_file_output_or_foreign_header(
    tmp_path: Path, provider: Origin, elsewhere: Origin
) -> None:
    """After a bad day: log, images, exports, pickles, reprs, errors and every host but the provider's own are clean."""
    home, out = tmp_path / "home", tmp_path / "out"
    out.mkdir()
    with Workspace(home, settle_s=0.5) as ws:
        runs, errors = bad_day(ws, provider, elsewhere)
        ws.reconcile()
        frame = ws.frame()
        assert {"succeeded", "failed"} <= set(frame.status)
        assert len(errors) >= 4
        frame.imagen.export(out / "log.csv")
        frame.imagen.export(out / "log.parquet")
        frame.imagen.export(out / "folder")
        frame.imagen.report(out / "report.html")
        frame.to_pickle(out / "frame.pickle")
        shown: list[Any] = [ws, ws.provider, ws.settings, vars(ws), vars(ws.connections.api), ws.notices, runs, errors]
        shown += [repr(error) + str(error) + repr(vars(error)) for error in errors]
        shown += [dict(ws.show(run)) for run in runs] + [run.cell() for run in runs]
        assert all(is_clean(repr(each)) for each in shown)
        assert is_clean(pickle.dumps([runs, [(error.args, error.hint) for error in errors]]))
        assert found_in(tmp_path, Path.home()) == []
    assert found_in(tmp_path, Path.home()) == []
    assert len(elsewhere.seen) >= 3
    assert is_clean(elsewhere.bytes_seen())
    assert b"other-secret" not in elsewhere.bytes_seen() + provider.bytes_seen()
    assert all("authorization" not in each.headers for each in elsewhere.seen)
    sent = provider.bytes_seen()
    assert sent.count(TOKEN.encode()) == sent.count(b"Authorization: Bearer " + TOKEN.encode()) == len(provider.seen)


CELLS = [
    "import imagen_nb as im",
    "%imagen a fox",
    "%imagen --param x=1 a fox",
    "im.Workspace(home=3)",
    "im.Workspace(home='\\0')",
    "im.Workspace(provider=3)",
    "im.Workspace(provider='http://example.org')",
    "im.Workspace(model=3)",
    "im.Workspace(prices=3)",
    "im.Workspace(thumbnail='x').generate('a fox')",
    "im.Workspace(jobs='x').generate('a fox')",
    "im.Workspace(token=secret(), provider='http://127.0.0.1:1', prices=3)",
    "im.Workspace(token=secret(), provider='http://127.0.0.1:1', model=3)",
    "im.login(3, token=secret())",
    "im.login(['replicate'], token=secret())",
    "im.login('http://[', token=secret())",
    "im.generate(3)",
    "im.run(3)",
    "im.generate('a fox', timeout='x')",
    "im.frame(experiment=object())",
    "im.frame().imagen.grid(rows='nonsense')",
    "im.settings.resolve(environ=3)",
    "from imagen_nb.shared import default_workspace; ws = default_workspace(); ws.log.settle('x', 'nonsense')",
    "ws.connections.api.get(3, deadline='soon')",
    "ws.connections.api.create(3, deadline=0)",
    "ws.connections.downloader.fetch(3, 4, deadline=5)",
    "ws.images.publish(1, 2, 3)",
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_no_verbose_traceback_shows_the_token(
    tmp_path: Path, provider: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under `%xmode Verbose`, which prints the variables of every frame, mistakes of users and ours show no token."""
    monkeypatch.chdir(tmp_path)
    with session(tmp_path) as notebook:
        notebook.shell.user_ns["secret"] = lambda: TOKEN
        notebook.run("%xmode Verbose")
        failed = 0
        for cell in CELLS:
            notebook.run(cell)
            failed += notebook.error is not None
            assert not isinstance(notebook.error, NameError), cell  # that would be this test's own mistake
            assert is_clean(notebook.out + notebook.err), cell
        provider.fault("create", instead=[says({"detail": f"Invalid token {TOKEN}."}, 401)])
        notebook.run("%imagen a fox")
        assert "does not accept the token" in notebook.out + notebook.err
        assert is_clean(notebook.out + notebook.err)
        notebook.run("%xmode Context")
        notebook.rest()
    assert failed >= len(CELLS) // 2
    assert found_in(tmp_path, Path.home()) == []


@pytest.mark.parametrize(
    "place",
    [
        "imagen_nb.settings.resolve",
        "imagen_nb.api.http.read_reply",
        "imagen_nb.api.http.Http._exchange",
        "imagen_nb.api.transport._Adapter.send",
        "imagen_nb.api.client.parse",
        "imagen_nb.api.downloads.examine",
        "imagen_nb.log.images.Images.publish",
        "imagen_nb.log.log.Log.accept",
        "imagen_nb.views.cards.render_run",
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_of_ours_shows_no_token_either(
    tmp_path: Path, provider: Origin, place: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Wherever the package breaks, neither the cell nor a thread's last words repeat the token."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    assert provider.token == TOKEN
    monkeypatch.chdir(tmp_path)
    with session(tmp_path) as notebook:
        notebook.run("%xmode Verbose")
        monkeypatch.setattr(place, broken)
        notebook.run("%imagen --timeout 1 a fox")
        written = notebook.out + notebook.err
        notebook.rest()
        monkeypatch.undo()
        notebook.run("%xmode Context")
    said = capfd.readouterr()
    assert is_clean(written + said.out + said.err)
    assert found_in(tmp_path) == []


def test_a_saved_notebook_holds_no_token(tmp_path: Path, provider: Origin, elsewhere: Origin) -> None:
    """A notebook with images, a failed cell and a verbose traceback, run by nbclient and saved: no token in it."""
    cells = [
        "%load_ext imagen_nb",
        "%xmode Verbose",
        "%imagen -n 2 a fox",
        "%imagen_log",
        "%imagen -p nonsense=1 a fox",
        "%imagen refused",
        "import imagen_nb; imagen_nb.Workspace(home=3)",
    ]
    provider.fault("create", instead=[says({"detail": f"Invalid token {TOKEN}."}, 401)], skip=2)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call] # no types
    client = NotebookClient(notebook, timeout=60, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}})
    try:
        client.execute()
    except CellExecutionError as error:  # pragma: no cover - errors are allowed
        pytest.fail(str(error))
    nbformat.write(notebook, tmp_path / "saved.ipynb")  # type: ignore[no-untyped-call] # no types
    text = (tmp_path / "saved.ipynb").read_text()
    assert "does not accept the token" in text
    assert "data:image" in text
    assert sum(output.output_type == "error" for cell in notebook.cells for output in cell.outputs) >= 2
    assert len(elsewhere.seen) == 2
    assert found_in(tmp_path, Path.home()) == []
    assert is_clean(elsewhere.bytes_seen())
    assert {run.status for run in _logged(tmp_path)} == {Status.SUCCEEDED, Status.FAILED}


def _logged(folder: Path) -> list[Run]:
    from imagen_nb.log.log import Log

    with Log(folder / "imagen_runs") as log:
        return log.runs()
