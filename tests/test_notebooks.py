"""The notebooks run from top to bottom, show what their text says, and leave the log it describes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import page
import pytest

from imagen_nb.cli import main
from imagen_nb.cli.notebooks import execute
from imagen_nb.workspace import Workspace

pytestmark = pytest.mark.xdist_group("notebooks")  # each is run once for all its tests

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@dataclass(frozen=True)
class Executed:
    """A notebook that was run, what the provider was asked for, and where it all lies."""

    cells: dict[str, Any]
    file: Path
    home: Path
    creates: list[tuple[str, Any]]
    predictions: list[dict[str, Any]]

    def shown(self, cell: str, kind: str = "text/plain") -> str:
        """What a cell printed and showed."""
        outputs = self.cells[cell].outputs
        parts = [output["text"] if "text" in output else output.get("data", {}).get(kind, "") for output in outputs]
        return "\n".join(parts)


def executed(name: str, folder: Path) -> Executed:
    """The notebook after a run against a simulator."""
    from imagen_nb.simulator import Simulator

    with Simulator(latency=0.3) as simulator:
        notebook = execute(ROOT / "notebooks" / name, folder / name, folder / "runs", provider=simulator.base_url)
        predictions = simulator.predictions
    posts = [each for each in simulator.requests if each.method == "POST" and each.path.endswith("/predictions")]
    creates = [(each.path, json.loads(each.body)) for each in posts]
    cells = {cell.id: cell for cell in notebook.cells}
    return Executed(cells, folder / name, folder / "runs", creates, predictions)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return executed("01_quickstart.ipynb", tmp_path_factory.mktemp("quickstart"))


@pytest.fixture(scope="module")
def compare(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return executed("02_compare.ipynb", tmp_path_factory.mktemp("compare"))


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return executed("03_judge.ipynb", tmp_path_factory.mktemp("judge"))


# -- as they are kept --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(path: Path) -> None:
    """A notebook in the tree is valid, has no outputs and no counts, and opens on any Python kernel."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call] # nbformat has no types
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
    assert not re.search(r"(/home/|/root/|/tmp/|C:\\\\)", path.read_text(encoding="utf-8"))


def test_notebooks_run_in_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`imagen-nb demo` runs the quickstart without a token, prints its log, and says where what it made is."""
    assert main(["demo", "--output", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "9 runs" in out
    assert all(len(line) <= 80 for line in out.splitlines() if str(tmp_path) not in line)
    for name in ("01_quickstart.ipynb", "quickstart_report.html"):
        assert str(tmp_path / name) in out
        assert (tmp_path / name).stat().st_size > 20_000


# -- the quickstart ----------------------------------------------------------------------------------------------------


def test_quickstart_sends_the_pages_own_body(quickstart: Executed) -> None:
    """The API page's example, typed into a cell, is POSTed with exactly the page's body, to the page's path."""
    assert quickstart.creates[2] == (page.PATH, page.BODY)
    assert json.loads(quickstart.shown("page-body")) == page.BODY


@pytest.mark.parametrize("cell", ["first-image", "parameters", "page-example", "repeats", "log-gallery"])
def test_quickstart_shows_images(quickstart: Executed, cell: str) -> None:
    """Each of these cells has its images in it, small."""
    assert 'src="data:image/' in quickstart.shown(cell, "text/html")
    assert len(json.dumps(quickstart.cells[cell].outputs)) < 80_000


def test_quickstart_keeps_the_prompt_verbatim(quickstart: Executed) -> None:
    """Quotes and dollars of a line magic arrive as typed."""
    assert quickstart.creates[1][1]["input"]["prompt"] == 'a lighthouse at dusk, "long exposure", $5 postcard'


def test_quickstart_shows_why_there_is_no_image(quickstart: Executed) -> None:
    """A failed and a blocked prompt are results that say why."""
    assert "failed" in quickstart.shown("failed", "text/html")
    assert "E005" in quickstart.shown("blocked", "text/html")
    assert "('failed', 'blocked', None)" in quickstart.shown("blocked-look")


def test_quickstart_mistake_is_two_lines_and_sends_nothing(quickstart: Executed) -> None:
    """The cell that is meant to fail does so in two lines, and the provider hears nothing of it."""
    (error,) = quickstart.cells["mistake"].outputs
    assert error.output_type == "error"
    assert len("\n".join(error.traceback).splitlines()) == 2
    assert "7:5" in error.traceback[0]
    assert len(quickstart.creates) == len(quickstart.predictions) == 9


def test_quickstart_leaves_every_run_in_the_log(quickstart: Executed) -> None:
    """Nine requests, nine rows, the provider's ids in them."""
    with Workspace(home=quickstart.home, provider="simulator") as workspace:
        log = workspace.frame()
    assert log["status"].astype(str).tolist() == ["succeeded"] * 7 + ["failed"] * 2
    assert set(log["prediction_id"]) == {each["id"] for each in quickstart.predictions}


# -- the comparison ----------------------------------------------------------------------------------------------------


def test_compare_counts_before_it_sends(compare: Executed) -> None:
    """The dry run says how many requests there would be and what they would cost."""
    assert "32 requests" in compare.shown("dry-run")
    assert "$0.64" in compare.shown("dry-run")


def test_compare_is_interrupted_and_resumed_without_paying_twice(compare: Executed) -> None:
    """What was canceled is asked for again, what succeeded is not: 32 images, each combination once."""
    ended = [each["status"] for each in compare.predictions]
    assert ended.count("succeeded") == 32
    assert set(ended) <= {"succeeded", "canceled"}
    assert "32 images, 0 of them asked for twice" in compare.shown("resumed-log")
    with Workspace(home=compare.home, provider="simulator") as workspace:
        log = workspace.frame("dawn")
    assert len(log) == len(ended)
    assert log["status"].astype(str).value_counts()["succeeded"] == 32


@pytest.mark.parametrize(
    ("cell", "images"), [("grid", 32), ("filter", 4), ("compare", 2), ("compare-all", 4), ("resume", 32)]
)
def test_compare_shows_images(compare: Executed, cell: str, images: int) -> None:
    """Grid, gallery and comparison hold their images, each at most 40 kB of notebook."""
    html = compare.shown(cell, "text/html")
    assert html.count('src="data:image/') >= images
    assert len(html) < 40_000 * images


def test_compare_summary_counts(compare: Executed) -> None:
    """Four groups of eight, all well."""
    assert compare.shown("summary", "text/html").count("<tr>") >= 5


def test_compare_leaves_its_files(compare: Executed) -> None:
    """The report, the table and the folder of images are there, and whole."""
    out = compare.file.parent / "out"
    assert 'src="data:image/' in (out / "dawn.html").read_text(encoding="utf-8")
    assert len((out / "dawn.csv").read_text(encoding="utf-8").splitlines()) >= 33
    assert len(list((out / "dawn_images").rglob("*.jpg"))) == 32


# -- judging -----------------------------------------------------------------------------------------------------------


def test_judge_says_in_one_line_what_is_suspicious(judge: Executed) -> None:
    """A fixed seed makes each repeat the same picture; the honest sweep before has no such line."""
    line = "1 alarm: 8 runs of one request gave the same picture: a cache, or a fixed seed"
    assert all(judge.shown("alarm", kind).count(line) == 1 for kind in ("text/plain", "text/html"))
    assert "alarm" not in judge.shown("sweep")
    assert judge.shown("alarms").startswith(line)


def test_judge_ranks_by_votes(judge: Executed) -> None:
    """The widget is there, the seeded die's votes are in the log, and the ranking says what they tell."""
    assert "60 pairs to judge" in judge.shown("judge")
    with Workspace(home=judge.home, provider="simulator") as workspace:
        votes = workspace.votes()
    assert votes["rater"].value_counts().to_dict() == {"die": 60, "openai/gpt-5-mini": 60}
    said = judge.shown("ranking")
    assert re.match(
        r"ink wash beats oil paint \(chance 0\.\d\d, 0\.[5-9]\d to 0\.\d\d\); pencil is as good as ink", said
    )
    assert judge.shown("ranking", "text/html").count("width:10px;height:10px") == 3  # a mark for each style
    assert "style: no difference to total_s as far as 10 prompts tell" in judge.shown("effects")
    assert "success_low" in judge.shown("summary")
    assert "style: no difference to redness" in judge.shown("score")


def test_judge_finds_out_what_the_model_goes_by(judge: Executed) -> None:
    """Agreement stands first, and that it likes the first picture and the sharper one; each pair was paid once."""
    said = judge.shown("model")
    assert "openai/gpt-5-mini: agrees with people at kappa" in said
    assert "It prefers the first picture: in " in said
    assert re.search(r"It follows sharpness: it chose the higher one in (\d+) of \1 pairs", said)
    assert sum("gpt-5-mini" in path for path, _ in judge.creates) == 120
    assert "ink wash beats oil paint" in (judge.file.parent / "out" / "styles.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "limit"), [("quickstart", 400_000), ("compare", 1_500_000), ("judge", 1_500_000)])
def test_executed_notebook_stays_small(
    name: str, limit: int, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Thumbnails keep an executed notebook small; its size is printed."""
    file = request.getfixturevalue(name).file
    with capsys.disabled():
        print(f"\n{file.name}, executed: {file.stat().st_size / 1000:.0f} kB ", end="")
    assert file.stat().st_size < limit
