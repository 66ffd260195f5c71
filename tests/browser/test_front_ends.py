"""One notebook in each front end, in a real browser: generate, pick, rate, compare, judge; and what is left of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab import READY_S, Lab, Notebook, Server, until
from playwright.sync_api import Browser, Locator, expect

from imagen_nb.log.judgements import read_votes
from imagen_nb.log.log import Log

CELLS = (
    "%load_ext imagen_nb\nr = %imagen -q -e foxes a {red|blue} fox in snow",
    "%imagen_panel",
    "r.frame().imagen.compare()",
    "r.frame().imagen.rate()",
    "r.frame().imagen.judge(by='slot_1')",
)
ERROR = re.compile("Error displaying widget|could not be displayed")


@dataclass(frozen=True)
class FrontEnd:
    """One front end: where it has a notebook, how its cells are run there, and how it is saved and its kernel ended."""

    address: str
    run: Callable[[Lab, str], None] = lambda _lab, _path: None
    leave: Callable[[Lab, str], None] | None = None


def run_jupyterlab(lab: Lab, path: str) -> None:
    lab.ready()
    Notebook(lab, path).ready()
    lab.do("notebook:run-all-cells")


def leave_jupyterlab(lab: Lab, path: str) -> None:
    Notebook(lab, path).save()
    lab.do("notebook:shutdown-kernel")


def run_nbclassic(lab: Lab, _path: str) -> None:
    """Its widgets are drawn anew when a new kernel has told which there are, so it has to have told that."""
    page = lab.page
    page.wait_for_function(
        "() => { const book = window.Jupyter?.notebook; return book?._fully_loaded && book.kernel?.is_connected(); }",
        timeout=READY_S * 1000,
    )
    page.evaluate("Jupyter.notebook.execute_cells([0])")
    expect(page.locator(".input_prompt").first).to_have_text("In [1]:", timeout=READY_S * 1000)
    page.evaluate("() => new Promise((done) => Jupyter.notebook.kernel.comm_info('jupyter.widget', () => done()))")
    page.evaluate("Jupyter.notebook.execute_cell_range(1, Jupyter.notebook.ncells())")


def leave_nbclassic(lab: Lab, _path: str) -> None:
    lab.page.evaluate("() => Jupyter.notebook.save_notebook()")
    lab.page.evaluate("() => new Promise((done) => Jupyter.notebook.session.delete(() => done()))")


FRONT_ENDS = {
    "jupyterlab": FrontEnd("lab/workspaces/front-ends/tree", run_jupyterlab),  # test_cells.py reopens one in it
    "notebook": FrontEnd("notebooks", run_jupyterlab, leave_jupyterlab),
    "nbclassic": FrontEnd("nbclassic/notebooks", run_nbclassic, leave_nbclassic),
    "voila": FrontEnd("voila/render"),
}


def path_of(name: str) -> str:
    return f"front-end-{name}/front-end-{name}.ipynb"


@pytest.fixture
def lab(name: str, browser: Browser, server: Server) -> Iterator[Lab]:
    """The notebook in a front end, on a page that shows all of it."""
    path = server.write(f"front-end-{name}", CELLS)
    opened = Lab.at(browser, server, f"{FRONT_ENDS[name].address}/{path}", viewport={"width": 1280, "height": 2500})
    yield opened
    opened.page.context.close()


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_front_end(name: str, lab: Lab, server: Server, shots: Path) -> None:
    """Generate makes a picture, keys rate and judge in the log, the divider moves; words stand for widgets later."""
    page, front_end = lab.page, FRONT_ENDS[name]
    front_end.run(lab, path_of(name))
    panel, rater, judge = (page.locator(f".inb-{each}") for each in ("panel", "rater", "judge"))
    expect(panel.get_by_label("Prompt", exact=True)).to_be_visible(timeout=READY_S * 1000)
    expect(rater).to_contain_text("1 of 2", timeout=READY_S * 1000)
    picture = rater.get_by_role("img", name="a red fox in snow")
    expect(picture).to_be_visible()
    assert picture.evaluate("one => one.clientHeight <= one.parentNode.clientHeight")
    expect(judge.get_by_role("img")).to_have_count(2, timeout=READY_S * 1000)
    still = page.get_by_text("; run this cell again")
    expect(still).to_have_count(3)
    for words in still.all():
        expect(words).to_be_hidden()
    cells = page.locator(".jp-CodeCell, .code_cell").count()
    generate_and_rate(panel)
    rater.locator(".inb-large").focus()
    page.keyboard.press("2")
    judge.focus()
    page.keyboard.press("ArrowLeft")
    with Log(server.root / f"front-end-{name}" / "imagen_runs") as log:
        rated = {"a green fox": 4, "a red fox in snow": 2}
        until(lambda: {run.request.prompt: run.rating for run in log.runs() if run.rating} == rated)
        assert [vote.choice for vote in until(lambda: read_votes(log))] == ["a"]
    slider = page.get_by_role("slider", name="Divider between A and B")
    slider.press("End")
    expect(slider).to_have_value("100")
    assert page.locator(".imagen-nb-slide").evaluate("one => one.style.getPropertyValue('--cut')") == "100%"
    assert page.locator(".jp-CodeCell, .code_cell").count() == cells
    page.screenshot(path=shots / f"front-end-{name}.png")
    assert not lab.errors, lab.errors
    if front_end.leave is None:
        return
    front_end.leave(lab, path_of(name))
    page.reload()
    expect(still).to_have_count(3, timeout=READY_S * 1000)
    for words in still.all():
        expect(words).to_be_visible(timeout=READY_S * 1000)
    for error in page.get_by_text(ERROR).all():
        expect(error).to_be_hidden()
    expect(slider).to_be_visible()
    page.screenshot(path=shots / f"front-end-{name}-reopened.png")


def generate_and_rate(panel: Locator) -> None:
    """Make a picture, pick it, and rate it in the large view; the front end's own keys stay out of it."""
    keyboard = panel.page.keyboard
    panel.get_by_label("Prompt", exact=True).fill("a green fox")
    panel.get_by_role("button", name="Generate").click()
    expect(panel.locator(".inb-card").get_by_role("img")).to_have_count(1)
    tiles = panel.get_by_role("listbox", name="Earlier runs").get_by_role("option")
    expect(tiles.get_by_role("img")).to_have_count(3)
    tiles.first.click()
    expect(panel.locator(".inb-details")).to_contain_text("a green fox")
    for key in ("x", "b", "d", "d", "Enter"):
        keyboard.press(key)
    expect(panel.page.get_by_role("dialog").get_by_role("img", name="a green fox")).to_be_visible()
    keyboard.press("4")
    keyboard.press("Escape")
    expect(tiles.first).to_contain_text("★★★★")
