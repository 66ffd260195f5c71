"""The blind pairs in JupyterLab: sixty votes by keyboard, and a page that never tells what is compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lab import Lab, Notebook, until
from logged import ANIMALS, STYLES, fill_log
from look import axe_violations, faint, nameless
from playwright.sync_api import Locator, expect

from imagen_nb.log.judgements import read_votes
from imagen_nb.log.log import Log

Open = Callable[..., Notebook]
Shot = Callable[..., None]
KEYS = {"ArrowLeft": "a", "ArrowUp": "tie", "ArrowRight": "b", "ArrowDown": "neither"}
JUDGE = "%load_ext imagen_nb\nimport imagen_nb as im\nim.frame().imagen.judge(by='style', rater='Ann')"
PAIRS = 60


@pytest.fixture
def judged(notebook: Open) -> Any:
    """A notebook that asks about 60 pairs, and its log."""
    book = notebook(JUDGE)
    with Log(book.folder / "imagen_runs") as log:
        fill_log(log, size=(300, 200), repeats=5)
        yield book, log


def judge(book: Notebook) -> Locator:
    book.run(0)
    shown = book.output(0).locator(".inb-judge")
    expect(shown.get_by_role("img")).to_have_count(2, timeout=30_000)
    return shown


def keep_focus(shown: Locator) -> None:
    """Give it the keys for good: a JupyterLab that still opens a notebook or changes its theme takes them back."""

    def is_kept() -> bool:
        shown.focus()
        shown.page.wait_for_timeout(500)
        return bool(shown.evaluate("root => document.activeElement === root"))

    until(is_kept)


def tells(book: Notebook, log: Log) -> list[str]:
    """What of levels, runs, hashes and paths stands anywhere in the page."""
    html = book.page.content()
    hashes = [image.sha256[:10] for run in log.runs() for image in run.images]
    assert "inb-judge" in html
    return [word for word in (*STYLES, *log.run_ids(), *hashes, "imagen_runs/") if word in html]


def test_sixty_votes_by_keyboard(judged: Any, lab: Lab, shot: Shot) -> None:
    """Each key is a vote in the log before the next pair is shown; nothing tells levels apart until the end does."""
    book, log = judged
    shown, keyboard = judge(book), lab.page.keyboard
    expect(shown).to_be_focused()
    sides = []
    for number in range(PAIRS):
        expect(shown).to_have_attribute("data-shown", str(number))
        assert len(read_votes(log)) == number
        assert tells(book, log) == []
        names = [each.get_attribute("alt") or "" for each in shown.get_by_role("img").all()]
        sides.append(names)
        key = list(KEYS)[number % 4]
        if number == 20:
            expect(shown).to_contain_text("21 of 60")
            for theme in ("Dark", "Light"):
                lab.theme(f"JupyterLab {theme}")
                assert axe_violations(lab.page, ".inb-judge") == []
                assert nameless(lab.page, ".inb-judge") == []
                assert faint(shown, (".inb-dim", ".inb-button:enabled", ".inb-judge-prompt", "strong")) == []
                shot(f"judge-{theme.lower()}")
            keep_focus(shown)
            keyboard.press("Backspace")
            expect(shown).to_have_attribute("data-shown", "19")
            assert len(read_votes(log)) == 19
            keyboard.press(list(KEYS)[19 % 4])
            expect(shown).to_have_attribute("data-shown", "20")
            assert [each.get_attribute("alt") for each in shown.get_by_role("img").all()] == names
        keyboard.press(key)
    expect(shown).to_contain_text(f"{PAIRS} votes.")
    expect(shown.get_by_role("img")).to_have_count(0)
    assert {style for style in STYLES if style in shown.inner_text()}
    votes = read_votes(log)
    assert [vote.choice for vote in votes] == [list(KEYS.values())[number % 4] for number in range(PAIRS)]
    assert {vote.rater for vote in votes} == {"Ann"}
    assert all(0 < (vote.seconds or 0) < 60 for vote in votes)
    assert {vote.chosen_by for vote in votes} >= {"random", "again", "least asked"}
    assert {name for names in sides for name in names} == {
        f"{side} picture: a {animal} in ___" for animal in ANIMALS for side in ("Left", "Right")
    }
    expect(book.panel.locator(".jp-CodeCell")).to_have_count(1)
    shot("judge-end", shown)


def test_judging_is_left_and_taken_up_again(judged: Any, lab: Lab, shot: Shot) -> None:
    """By pointer, narrow, across a reload and a new kernel; a screen reader is told all; no kernel, no pictures."""
    book, log = judged
    shown = judge(book)
    shown.get_by_role("button", name="Right picture: a").click()
    expect(shown).to_have_attribute("data-shown", "1")
    expect(shown.get_by_role("button", name="Right picture: a")).to_be_focused()
    expect(shown.get_by_role("status")).to_contain_text("Right. 2 of 60. a ")
    for key in ("d", "d", "ArrowDown"):  # two times d would delete the cell
        lab.page.keyboard.press(key)
    expect(shown).to_have_attribute("data-shown", "2")
    for place in ("1", "0"):
        shown.get_by_role("button", name="Take back").click()
        expect(shown).to_have_attribute("data-shown", place)
    expect(shown).to_be_focused()  # as there is no more to take back
    assert read_votes(log) == []
    shown.get_by_role("button", name="Hide prompt").click()
    expect(shown.locator(".inb-judge-prompt")).to_be_hidden()
    for name, place in (("Right →", "1"), ("Neither", "2")):
        shown.get_by_role("button", name=name).click()
        expect(shown).to_have_attribute("data-shown", place)
    assert [vote.choice for vote in read_votes(log)] == ["b", "neither"]
    boxes = [shown.locator(".inb-judge-side").nth(side).bounding_box() or {} for side in (0, 1)]
    assert all(boxes[0][name] == boxes[1][name] for name in ("y", "width", "height"))
    assert boxes[0]["width"] > 400
    lab.page.set_viewport_size({"width": 700, "height": 800})
    shot("judge-700")
    lab.page.set_viewport_size({"width": 1280, "height": 1000})
    book.reload()
    shown = book.output(0).locator(".inb-judge")
    expect(shown).to_contain_text("3 of 60", timeout=30_000)
    expect(shown.get_by_role("img")).to_have_count(2)
    keep_focus(shown)
    lab.page.keyboard.press("ArrowUp")
    expect(shown).to_contain_text("4 of 60")
    assert tells(book, log) == []
    file = (lab.server.root / book.path).read_text("utf-8")
    assert not [word for word in (*STYLES, *log.run_ids()) if word in file]
    saved = book.save()
    assert "60 pairs to judge; run this cell again." in str(saved.cells[0].outputs)
    lab.do("notebook:shutdown-kernel")
    lab.do("application:close-all")
    read = lab.read(book.path)
    expect(read.output(0).get_by_text("60 pairs to judge; run this cell again.")).to_be_visible()
    shot("judge-no-kernel", read.output(0))
    lab.do("application:close-all")
    book = lab.open(book.path)
    shown = judge(book)
    expect(shown).to_contain_text("4 of 60")
    until(lambda: len(read_votes(log)) == 3)
    lab.errors[:] = [each for each in lab.errors if "widget model not found" not in each]  # of any without its kernel
