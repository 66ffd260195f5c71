"""Text from a user or a provider that means to be markup, a path or a formula stays text, wherever it comes out."""

from __future__ import annotations

import base64
import csv
import json
import re
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from acts import says
from controls import control, history, until, walk
from nbconvert import HTMLExporter
from origin import Origin

from imagen_nb import read_log
from imagen_nb.cli import main
from imagen_nb.errors import ImagenError
from imagen_nb.notebook.live import summary
from imagen_nb.notebook.panel import Panel
from imagen_nb.records import Status
from imagen_nb.views.progress import live_tile, render_progress
from imagen_nb.workspace import Workspace

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "javascript:alert(1)",
    "</textarea></script></title><svg onload=alert(1)>",
    "[x](javascript:alert(1)) `${alert(1)}` {{ alert(1) }}",
]
NAMES = ["../../etc/passwd", "nul\0byte", "x" * 300, "CON", "🦊/🦉", "a\\b:c*d?", ". .", "-rf", "~root", "$(reboot)"]
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "=cmd|' /C calc'!A0"]  # noqa: RUF001 - full width too
HOSTILE = {
    "the first half of a surrogate pair": "\ud83d",
    "the second half of one": "\udd8a",
    "a pair in two halves": "\ud83e" + "\udd8a",
    "NUL": "\0",
    "a command to a terminal": "\x1b[2J\x1b]0;owned\x07",
    "eight-bit controls": "\x9b31m\x85\x7f",
    "carriage returns": "over\rwritten\r\n",
    "marks that turn the direction": "\u202egnp.\u202d\u2066\u2069",
    "zero-width letters": "a\u200bb\u200dc\ufeff",
    "line separators": "\u2028\u2029\x0b\x0c",
    "combining marks": "a" + "\u0301" * 60,
    "100,000 characters": "long " * 20_000,
}
UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
OURS = re.compile(
    r"log\.sqlite(-\w+)?|images/[0-9a-f]{2}/[0-9a-f]{64}\.(jpg|png)|thumbnails/[0-9a-f]{64}-\d+\.webp"
    r"|sessions/[0-9a-z]+\.lock|(images|thumbnails|sessions|temp)(/[0-9a-z]+)?"
)


class Inert(HTMLParser):
    """Collects what a browser would run or fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.active: list[str] = []
        self._is_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_script = tag == "script"
        for name, value in attrs:
            if name.startswith("on") or ("alert" in (value or "") and name in ("href", "src", "action", "style")):
                self.active.append(f"{tag} {name}={value}")
            if name == "src" and tag == "img" and not (value or "").startswith("data:image/"):
                self.active.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's signature
        self._is_script = False

    def handle_data(self, data: str) -> None:
        # What a page's own script reads as data may hold the text, written so that it cannot end the element.
        if self._is_script and "alert(1)" in data and "\\u003c" not in data.lower():
            self.active.append(data[:200])


def active(html: str) -> list[str]:
    found = Inert()
    found.feed(html)
    found.close()
    return found.active


@pytest.fixture
def open_ws(home: Path, api: Origin) -> Iterator[Workspace]:
    """A workspace whose models nobody has described, so that any text passes."""
    with Workspace(home, provider=api.base_url, token=api.token, settle_s=0.6, model="some/body") as opened:
        yield opened


def _everywhere(ws: Workspace, api: Origin, text: str) -> list[Any]:
    """Runs whose every text is this one: one with a picture, one failed, one of text; and the error of one refused."""
    options = {"experiment": text, "tag": text, "params": {"style": text}}
    api.answer = lambda _: {"model": text, "logs": text, "metrics": {text: text}, "source": text}
    good = ws.generate(f"{text} a", slots={}, **options)
    api.answer = lambda _: {"status": "failed", "output": None, "error": text, "model": text}
    bad = ws.generate(f"{text} b", **options)
    api.answer = lambda _: {"output": f"javascript:{text}"}
    odd = ws.generate(f"{text} c", **options)
    api.fault("create", instead=[says({"detail": text, "title": text}, 422)], times=1)
    with pytest.raises(ImagenError) as caught:
        ws.generate(f"{text} d", **options)
    assert (good.status, bad.status, odd.status) == (Status.SUCCEEDED, Status.FAILED, Status.SUCCEEDED)
    assert odd.text.startswith("javascript:")
    return [good, bad, odd, caught.value]


@pytest.mark.parametrize("text", ATTACKS)
def test_markup_from_a_prompt_a_provider_or_a_name_is_inert(
    open_ws: Workspace, api: Origin, text: str, tmp_path: Path
) -> None:
    """Cards, galleries, grids, comparisons, plans, reports and what nbconvert makes of them: nothing to run in them."""
    ws = open_ws
    plan = ws.plan("{x}", x=[text, f"{text}2"], params={"style": text}, raw=False)
    runs = _everywhere(ws, api, text)[:3]
    frame = ws.frame()
    renderings = [
        *(run._repr_mimebundle_() for run in [ws.log.get(run.id) for run in runs] if run.show),
        *(ws.show(run) for run in runs),
        plan._repr_mimebundle_(),
        frame.imagen.gallery()._repr_mimebundle_(),
        frame.imagen.grid(rows="style")._repr_mimebundle_(),
        frame.imagen.compare(runs[0].id, runs[1].id)._repr_mimebundle_(),
    ]
    for each in renderings:
        assert active(each["text/html"]) == []
        assert "\x1b" not in each["text/plain"]
    report = Path(frame.imagen.report(tmp_path / "report.html")).read_text("utf-8")
    assert active(report) == []
    assert active(_converted(renderings)) == []


def _converted(renderings: list[Any]) -> str:
    """The page that nbconvert makes of a notebook with these outputs."""
    outputs = [nbformat.v4.new_output("display_data", data=dict(each)) for each in renderings]  # type: ignore[no-untyped-call] # no types
    cell = nbformat.v4.new_code_cell("%imagen a fox", outputs=outputs)  # type: ignore[no-untyped-call] # no types
    notebook = nbformat.v4.new_notebook(cells=[cell])  # type: ignore[no-untyped-call] # no types
    return str(HTMLExporter(template_name="basic").from_notebook_node(notebook)[0])


@pytest.mark.parametrize("name", NAMES)
def test_no_name_reaches_the_file_system(open_ws: Workspace, api: Origin, name: str, tmp_path: Path) -> None:
    """Whatever experiments, tags, prompts and parameters are called, files are named after hashes and ids."""
    ws = open_ws
    run = _everywhere(ws, api, name)[0]
    ws.show(run)
    made = [path.relative_to(ws.home).as_posix() for path in ws.home.rglob("*")]
    assert made
    assert [each for each in made if not OURS.fullmatch(each)] == []
    ws.frame().imagen.export(tmp_path / "folder")
    exported = {path.name for path in (tmp_path / "folder").rglob("*")}
    assert all(re.fullmatch(r"[0-9A-Za-z_.-]{1,80}", each) for each in exported)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "imagen_runs"]
    assert list(ws.frame(experiment=name).prompt) == [f"{name} {letter}" for letter in "abcd"]
    assert ws.log.verify() == []


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_an_export_is_a_formula(open_ws: Workspace, text: str, tmp_path: Path) -> None:
    """A prompt, a parameter or a name that a spreadsheet would run is neutralised, and reads back as it was."""
    run = open_ws.generate(text, experiment=text.strip(), params={"style": text})
    assert run.request.prompt == text
    open_ws.frame().imagen.export(tmp_path / "log.csv")
    with (tmp_path / "log.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert [cell for cell in cells if cell[:1] in "=+-@\t\r＝＋－＠" and cell] == []  # noqa: RUF001 - full width too
    assert read_log(tmp_path / "log.csv").prompt.iloc[0] == text


def _shown(ws: Workspace, frame: pd.DataFrame, bad: Any, error: Any, folder: Path) -> Iterator[tuple[str, str]]:
    """Each exit for eyes, by its name, with what it shows of the runs of `_everywhere`."""
    runs = ws.log.runs()
    for name, bundle in {
        "cell": bad._repr_mimebundle_(),
        "live view": render_progress(ws.reconcile().progress(), [live_tile(each, lambda _: "") for each in runs]),
        "sweep": summary(ws.run(ws.plan(runs[1].request.prompt, raw=True))),
        "gallery": frame.imagen.gallery()._repr_mimebundle_(),
        "grid": frame.imagen.grid(rows="tag", cols="style")._repr_mimebundle_(),
        "comparison": frame.imagen.compare(0, 1)._repr_mimebundle_(),
        "plan": ws.plan("{x}", x=[bad.request.prompt, "y"])._repr_mimebundle_(),
    }.items():
        yield from ((f"{name} as {kind}", text) for kind, text in bundle.items())
    yield "error", "\n".join(error._render_traceback_())
    yield "error as a script shows it", str(error)
    yield "repr", repr(bad)
    yield "report", frame.imagen.report(folder / "report.html").read_bytes().decode()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_every_exit_shows_what_the_log_accepts(
    open_ws: Workspace, api: Origin, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In prompt, error, label, note and parameter: cells, pages, terminal, panel and files bear it, and can be read.

    For Excel pandas needs times without a zone, and the writer that knows control characters.
    """
    ws = open_ws
    good, bad, _, error = _everywhere(ws, api, f"fox{text}owl")
    ws.rate(bad.id, note=f"fox{text}owl")
    bad = ws.log.get(bad.id)
    api.answer = lambda _: {}
    frame = ws.frame()
    exits = dict(_shown(ws, frame, bad, error, tmp_path))
    assert main(["--home", str(ws.home), "log"]) == 0
    exits["terminal"] = capsys.readouterr().out
    for name, shown in exits.items():
        assert UNREADABLE.findall(shown.replace("\r\n", "\n")) == [], name
        assert "fox" in shown or name in ("sweep as text/plain", "sweep as text/html", "live view as text/plain"), name
    _check_panel(ws, good.id, bad.id)
    _check_files(frame, tmp_path)


def is_comparison(widget: Any) -> bool:
    """Whether it shows two runs compared."""
    return "imagen-nb-comparison" in str(getattr(widget, "value", ""))


def _check_panel(ws: Workspace, *run_ids: str) -> None:
    """Each state of each widget can be sent to the browser, with the run picked, compared, and loaded into the form."""
    panel = Panel(ws)
    try:
        strip = until(lambda: history(panel) if history(panel).items else None)
        for picked in ([run_ids[1]], list(run_ids), [run_ids[0]]):
            strip.picked = picked
            until(lambda ids=picked: any(map(is_comparison, walk(panel))) == (len(ids) > 1))
            for each in walk(panel):
                state = {name: item for name, item in each.get_state().items() if not isinstance(item, bytes)}
                json.dumps(state, ensure_ascii=False, default=str).encode()
        control(panel, "Load into form").click()
        assert "fox" in control(panel, "Prompt").value
        json.dumps(control(panel, "Prompt").get_state(), ensure_ascii=False, default=str).encode()
    finally:
        panel.close()


def _check_files(frame: pd.DataFrame, folder: Path) -> None:
    """The log's frame, and one that never was in a log, are written to each kind of file and read back."""
    assert list(json.loads(frame[["prompt", "note"]].to_json().encode())["prompt"].values()) == list(frame["prompt"])
    bare = pd.DataFrame(frame.astype(object))
    bare["prompt"] = pd.Series([f"{prompt}\ud83d" for prompt in frame["prompt"]], frame.index, dtype=object)
    naive = frame.assign(**{name: frame[name].dt.tz_localize(None) for name in frame.select_dtypes("datetimetz")})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Cell contents too long")  # 32,767 characters are all that Excel has room for
        naive.to_excel(folder / "log.xlsx", engine="xlsxwriter")
    back = pd.read_excel(folder / "log.xlsx", engine="openpyxl")["prompt"]
    assert all(str(each).startswith("fox") for each in back)
    for name, table in {"log": frame, "bare": bare}.items():
        wanted = [text.replace("\ud83d", "\ufffd") for text in table["prompt"]]
        for ending in ("csv", "parquet"):
            path = table.imagen.export(folder / f"{name}.{ending}")
            assert list(read_log(path)["prompt"]) == wanted, path
        back = read_log(table.imagen.export(folder / name))["prompt"]
        has_image = table["image"].notna()
        assert list(back) == [text for text, is_there in zip(wanted, has_image, strict=True) if is_there]


def test_a_table_from_elsewhere_reaches_no_private_file(tmp_path: Path) -> None:
    """No exit of a table that names one has any of its bytes: not the gallery, not the report, no export."""
    secret = tmp_path / "key.png"
    secret.write_text("PRIVATE KEY")
    (tmp_path / "log.csv").write_text(f'"prompt","status","image"\n"a fox","succeeded","{secret}"\n')
    shown = read_log(tmp_path / "log.csv").imagen
    with pytest.raises(ImagenError, match="are no pictures"):
        shown.export(tmp_path / "set")
    pages = [shown.gallery().html, shown.report(tmp_path / "report.html").read_text("utf-8")]
    for page in pages:
        assert "PRIVATE KEY" not in page
        assert base64.b64encode(b"PRIVATE KEY").decode()[:12] not in page
    assert not list(tmp_path.rglob("*.part"))
