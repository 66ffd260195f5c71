"""The panel in JupyterLab: by mouse, by keyboard alone, across a reload, in the dark, and as a screen reader has it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from lab import Lab, Notebook, until
from look import axe_violations, faint, nameless
from playwright.sync_api import Locator, expect

from imagen_nb.log.log import Log
from imagen_nb.records import Request
from imagen_nb.simulator import Simulator

Open = Callable[..., Notebook]
Shot = Callable[..., None]

WORDS = (
    *(".inb-brand", ".widget-label", ".inb-title", ".inb-state .inb-dim", ".inb-said", ".inb-facts dt"),
    *(".inb-tile-caption", ".inb-tile-figures", ".inb-generate:enabled", "select", "textarea"),
)
LOAD = "%load_ext imagen_nb"
SEED = "r = %imagen -q -e foxes a {red|blue|white} fox in snow"


@pytest.fixture
def tall(lab: Lab) -> Any:
    """A window in which the whole panel can be seen."""
    lab.page.set_viewport_size({"width": 1280, "height": 1500})
    yield
    lab.page.set_viewport_size({"width": 1280, "height": 1000})


def panel(book: Notebook, at: int) -> Locator:
    """The panel that a cell shows."""
    book.run(at)
    shown = book.output(at).locator(".inb-panel")
    expect(shown.get_by_label("Prompt", exact=True)).to_be_visible(timeout=30_000)
    return shown


def tiles(shown: Locator) -> Locator:
    return shown.get_by_role("listbox", name="Earlier runs").get_by_role("option")


def card(shown: Locator, at: int = 0) -> Locator:
    return shown.locator(".inb-card").nth(at)


@pytest.mark.usefixtures("tall")
def test_from_prompt_to_image_by_mouse(notebook: Open, service: Simulator, shot: Shot) -> None:
    """Type, choose, click: the button says what it will do, the card shows that it runs, then its images."""
    book = notebook(LOAD, "%imagen_panel")
    book.run(0)
    shown = panel(book, 1)
    shown.get_by_label("Prompt", exact=True).fill("a {red|blue} fox in snow, {oil|ink}")
    shown.get_by_label("Aspect ratio").select_option("16:9")
    button = shown.get_by_role("button", name="Generate")
    expect(button).to_have_text("Generate 4, about $0.16")
    before = len(service.predictions)
    button.click()
    expect(card(shown)).to_be_visible()
    expect(card(shown).get_by_role("button", name="Cancel")).to_be_visible()
    expect(card(shown).get_by_role("img")).to_have_count(4, timeout=20_000)
    expect(card(shown)).to_contain_text("Done")
    expect(card(shown).get_by_role("button", name="Dismiss")).to_be_visible()
    expect(tiles(shown)).to_have_count(4)
    assert [each["input"]["aspect_ratio"] for each in service.predictions[before:]] == ["16:9"] * 4
    shot("panel")


@pytest.mark.usefixtures("tall")
def test_from_prompt_to_image_by_keyboard_alone(notebook: Open) -> None:
    """Tab reaches every part in order, Enter generates and enlarges, Escape comes back, space picks."""
    book = notebook(LOAD, "%imagen_panel")
    book.run(0)
    shown = panel(book, 1)
    keyboard = book.page.keyboard
    tab_to(book, "Prompt")
    keyboard.type("a lighthouse at dusk")
    tab_to(book, "Aspect ratio")
    keyboard.press("End")
    tab_to(book, "Generate, about $0.04")
    keyboard.press("Enter")
    expect(card(shown).get_by_role("img")).to_have_count(1, timeout=20_000)
    expect(tiles(shown)).to_have_count(1)
    expect(tiles(shown).get_by_role("img")).to_have_count(1)
    tab_to(book, "Run 1 of 1")
    keyboard.press("Enter")
    dialog = book.page.get_by_role("dialog", name="Enlarged image")
    expect(dialog.get_by_role("img", name="a lighthouse at dusk")).to_be_visible()
    keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(shown.locator(".inb-tile:focus")).to_have_count(1)
    keyboard.press("Space")
    expect(shown.locator(".inb-details")).to_contain_text("4:3")
    assert "Load into form" in [name for _, name in walk_on(book, 12)]
    expect(book.cell(1)).to_have_count(1)


def test_jupyter_keys_stay_out_of_it(notebook: Open, service: Simulator) -> None:
    """An arrow changes a dropdown, letters on a button do nothing to the cell, and Ctrl+Enter in the form generates."""
    book = notebook(LOAD, "%imagen_panel", "'another cell'")
    book.run(0)
    shown = panel(book, 1)
    keyboard = book.page.keyboard
    shown.get_by_label("Aspect ratio").focus()
    keyboard.press("ArrowDown")
    expect(shown.get_by_label("Aspect ratio")).to_have_value(re.compile("."))
    shown.get_by_label("Prompt", exact=True).fill("a red fox")
    expect(shown.get_by_role("button", name="Generate")).to_be_enabled()
    shown.get_by_role("button", name="Generate").focus()
    for key in ("a", "b", "j", "d", "d", "x", "ArrowUp"):
        keyboard.press(key)
    expect(book.panel.locator(".jp-CodeCell")).to_have_count(3)
    expect(shown.get_by_role("button", name="Generate")).to_be_focused()
    before = len(service.predictions)
    shown.get_by_label("Prompt", exact=True).press("Control+Enter")
    expect(card(shown)).to_contain_text("Done", timeout=20_000)
    assert [each["input"]["aspect_ratio"] for each in service.predictions[before:]] == ["9:16"]


def test_large_view_by_keyboard(notebook: Open, shot: Shot) -> None:
    """Arrows go through all that matches, beyond the page; keys rate, mark and note, and the notebook's stay out."""
    book = notebook(LOAD, SEED, "%imagen_panel", "%imagen_log -e foxes")
    add_rows(book.folder / "imagen_runs", 40)
    book.run_all(2)
    shown = panel(book, 2)
    expect(tiles(shown)).to_have_count(24)
    expect(tiles(shown).get_by_role("img")).to_have_count(3)
    keyboard = book.page.keyboard
    tiles(shown).first.click()
    for key in ("ArrowRight", "End", "Home", "ArrowRight"):
        keyboard.press(key)
    keyboard.press("d")
    keyboard.press("d")
    expect(shown.locator(".inb-tile:focus")).to_have_attribute("aria-label", re.compile("^Run 2 of 24: a blue fox"))
    keyboard.press("Enter")
    dialog = book.page.get_by_role("dialog", name="Enlarged image")
    expect(dialog).to_contain_text("2 of 43")
    expect(dialog.locator(".inb-facts")).to_contain_text("foxes")
    until(lambda: dialog.get_by_role("img").evaluate("image => image.naturalWidth") == 1024, what="the large image")
    for key in ("4", "f", "n"):
        keyboard.press(key)
    keyboard.type("3 of them")
    keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="4 of 5")).to_have_attribute("aria-pressed", "true")
    expect(dialog.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")
    shot("large")
    keyboard.press("ArrowRight")
    expect(dialog).to_contain_text("a red fox")
    for key in ("2", "0", "d", "d", "End"):
        keyboard.press(key)
    expect(dialog).to_contain_text("43 of 43")
    expect(dialog).to_contain_text("for the test")
    expect(dialog.get_by_role("button", name="Next")).to_be_disabled()
    keyboard.press("n")
    keyboard.press("Escape")
    expect(dialog).to_be_visible()
    keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(shown.locator(".inb-tile:focus")).to_have_count(1)
    expect(tiles(shown).nth(1)).to_contain_text("★★★★♥")
    expect(book.panel.locator(".jp-CodeCell")).to_have_count(4)
    assert "3 of them" in book.run(3).inner_text()


def test_original_is_opened_and_downloaded(notebook: Open, lab: Lab) -> None:
    """One click opens the file as the provider sent it in a tab of its own, another saves it, named by its prompt."""
    book = notebook(LOAD, "r = %imagen -q -f png a red fox", "%imagen_panel", "r.images[0].bytes, r.images[0].sha256")
    book.run_all(2)
    shown = panel(book, 2)
    tiles(shown).first.dblclick()
    dialog = book.page.get_by_role("dialog", name="Enlarged image")
    with lab.page.expect_popup() as popup:
        dialog.get_by_role("button", name="Open original").click()
    expect(popup.value).to_have_url(re.compile("^blob:"))
    assert popup.value.locator("img").evaluate("image => image.naturalWidth") == 1024
    popup.value.close()
    with lab.page.expect_download() as download:
        dialog.get_by_role("button", name="Download").click()
    assert re.fullmatch(r"a[-_]red[-_]fox\w*\.png", download.value.suggested_filename)
    content = download.value.path().read_bytes()
    lab.page.keyboard.press("Escape")
    assert book.run(3).inner_text().splitlines()[-1] == str((len(content), hashlib.sha256(content).hexdigest()))


@pytest.mark.usefixtures("tall")
def test_nothing_moves(notebook: Open, lab: Lab) -> None:
    """By the browser's own measure nothing that one may be looking at jumps: on typing, picking, and when runs come."""
    book = notebook(LOAD, SEED, "%imagen_panel")
    book.run_all(2)
    shown = panel(book, 2)
    expect(tiles(shown).get_by_role("img")).to_have_count(3)
    prompt = shown.get_by_label("Prompt", exact=True)
    shown.scroll_into_view_if_needed()
    lab.page.evaluate(WATCH_SHIFTS)
    worst = {}
    prompt.click()
    lab.page.keyboard.type("a {quick|slow} hare {anim")
    expect(shown.get_by_role("alert")).to_have_count(0)
    lab.page.keyboard.type("al} and {red|blue|green|grey} {1|2|3}")
    expect(shown.get_by_role("alert")).to_contain_text("{animal} has no value")
    worst["typing"] = lab.page.evaluate(WORST_SHIFT)
    prompt.fill("a {quick|slow} hare, {1|2|3|4|5|6|7|8|9|10|11}")
    expect(shown.get_by_label("Send all 22")).to_be_visible()
    worst["a large plan"] = lab.page.evaluate(WORST_SHIFT)
    tiles(shown).nth(1).click()
    expect(shown.locator(".inb-details")).to_contain_text("a blue fox in snow")
    tiles(shown).first.click()
    expect(shown.locator(".inb-details")).to_contain_text("a white fox in snow")
    worst["picking"] = lab.page.evaluate(WORST_SHIFT)
    tiles(shown).nth(1).click(modifiers=["Shift"])
    expect(shown.get_by_role("slider")).to_be_visible()
    # What the drawer shows of two takes another form; on a busy machine that is later than the browser allows a press.
    assert lab.page.evaluate(WORST_SHIFT) <= 0.03
    prompt.fill("a {quick|slow|[blocked]} hare")
    shown.get_by_role("button", name="Generate 3").click()
    expect(card(shown).get_by_role("option")).to_have_count(3)
    lab.page.evaluate(WORST_SHIFT)  # a press puts a card in front of the others
    expect(card(shown)).to_contain_text("Done")
    expect(card(shown).get_by_role("img")).to_have_count(2)
    newer = shown.get_by_role("button", name="Show 3 newer")
    expect(newer).to_be_visible()
    worst["arriving"] = lab.page.evaluate(WORST_SHIFT)
    assert max(worst.values()) <= 0.01, worst
    newer.click()
    expect(tiles(shown)).to_have_count(6)


WATCH_SHIFTS = """() => {
  window.shifts = [];
  new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((entry) => entry.value)))
    .observe({ type: "layout-shift" });
}"""
WORST_SHIFT = """async () => {
  await new Promise((done) => setTimeout(done, 300));
  return Math.max(0, ...window.shifts.splice(0));
}"""
"""The largest since it was last asked for. Shifts right after a key or a click count too."""


def add_rows(home: Path, count: int) -> None:
    """So many rows in a home's log, without images."""
    requests = [Request("google/imagen-4", {"prompt": f"owl {n}"}, f"owl {n}") for n in range(count)]
    with Log(home) as log:
        for run_id in log.intend(requests, provider="simulator"):
            log.settle(run_id, "failed", error="for the test")


def test_rating_by_keyboard_alone(notebook: Open, lab: Lab, shot: Shot) -> None:
    """`df.imagen.rate()` takes the keys as soon as it is there, and each mark is in the log at once."""
    rate = "df = imagen_nb.frame().sort_values('prompt')\ndf.imagen.rate()"
    book = notebook(LOAD, SEED, f"import imagen_nb\n{rate}", "imagen_nb.frame()[['prompt', 'rating', 'favourite']]")
    book.run_all(3)
    rater = book.output(2).locator(".inb-rater")
    expect(rater).to_contain_text("1 of 3")
    expect(rater).to_contain_text("a blue fox in snow")
    expect(rater.locator(".inb-large")).to_be_focused()
    for key in ("5", "ArrowRight", "1", "f", "ArrowRight", "3", "0", "d", "d"):
        lab.page.keyboard.press(key)
    expect(rater).to_contain_text("a white fox in snow")
    expect(rater.get_by_role("img")).to_be_visible()
    shot("rater")
    expect(book.panel.locator(".jp-CodeCell")).to_have_count(4)
    assert axe_violations(lab.page, ".inb-rater") == []
    rows = book.run(3).inner_text().split("\n")
    assert [row.split()[-2:] for row in rows if " fox " in row] == [["1", "True"], ["5", "False"], ["<NA>", "False"]]


@pytest.mark.usefixtures("tall")
def test_reload_in_mid_run(notebook: Open, service: Simulator, shot: Shot) -> None:
    """After F5 the panel stands as it was: what was typed, what runs and what is done; Cancel still works."""
    book = notebook(LOAD, "%imagen_panel")
    book.run(0)
    shown = panel(book, 1)
    shown.get_by_label("Prompt", exact=True).fill("a {quick|[stuck]} fox")
    shown.get_by_role("button", name="Generate 2").click()
    expect(card(shown).get_by_role("img")).to_have_count(1, timeout=20_000)
    shown.get_by_label("Prompt", exact=True).fill("typed before the reload")
    until(lambda: any(each["status"] == "processing" for each in service.predictions[-2:]))
    book.reload()
    expect(shown.get_by_label("Prompt", exact=True)).to_have_value("typed before the reload", timeout=30_000)
    expect(card(shown)).to_contain_text("1 of 2")
    expect(card(shown).get_by_role("img")).to_have_count(1)
    shot("reloaded")
    card(shown).get_by_role("button", name="Cancel").click()
    expect(card(shown)).to_contain_text("Canceled", timeout=20_000)
    assert sorted(each["status"] for each in service.predictions[-2:]) == ["canceled", "succeeded"]


@pytest.mark.usefixtures("tall")
def test_history_loads_rates_copies_and_compares(notebook: Open, shot: Shot) -> None:
    """A picked run goes back into the form, takes a rating and a note, becomes a cell, and is compared with another."""
    book = notebook(LOAD, SEED, "%imagen_panel", "%imagen_log")
    book.run_all(2)
    shown = panel(book, 2)
    expect(tiles(shown)).to_have_count(3)
    tiles(shown).nth(1).click()
    details = shown.locator(".inb-details")
    expect(details).to_contain_text("a blue fox in snow")
    details.get_by_label("Rating").select_option("5")
    details.get_by_label("Note").fill("the best")
    details.get_by_label("Note").press("Enter")
    expect(tiles(shown).nth(1)).to_contain_text("★★★★★")
    details.get_by_role("button", name="Vary").click()
    expect(shown.get_by_label("Vary", exact=True)).to_be_focused()
    details.get_by_role("button", name="Load into form").click()
    expect(shown.get_by_label("Prompt", exact=True)).to_have_value("a blue fox in snow")
    expect(shown.get_by_label("Prompt", exact=True)).to_be_focused()
    expect(shown.get_by_label("Prompt", exact=True)).to_be_in_viewport()
    details.get_by_role("button", name="Copy as cell").click()
    expect(details.get_by_role("status")).to_contain_text("Copied")
    assert book.page.evaluate("navigator.clipboard.readText()").endswith("=blue\na {red|blue|white} fox in snow")
    shot("panel-details")
    details.get_by_role("button", name="Compare with…").click()
    expect(details).to_contain_text("Pick a second run")
    tiles(shown).first.click()
    slider = details.get_by_role("slider")
    expect(slider).to_be_visible()
    shot("panel-compare")
    moved(slider, book.page)
    assert "the best" in book.run(3).inner_text()


def moved(slider: Locator, page: Any) -> None:
    """The divider follows the mouse and the keys."""
    expect(slider).to_have_value("50")
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    until(lambda: 20 < float(slider.input_value()) < 30, what="the divider's move")
    for key, value in (("Home", "0"), ("ArrowRight", "1"), ("End", "100")):
        page.keyboard.press(key)
        expect(slider).to_have_value(value)
    assert slider.locator("xpath=..").evaluate("parent => parent.style.getPropertyValue('--cut')") == "100%"


def test_text_is_offered_where_the_clipboard_is_closed(notebook: Open) -> None:
    """Where the browser does not allow copying, the cell's text is there to be selected."""
    book = notebook(LOAD, "%imagen -q a red fox", "%imagen_panel")
    book.run_all(2)
    shown = panel(book, 2)
    tiles(shown).first.click()
    book.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    shown.get_by_role("button", name="Copy as cell").click()
    offered = shown.get_by_label("The text of the cell")
    expect(offered).to_have_value("%%imagen -m google/imagen-4\na red fox")
    expect(offered).to_be_focused()
    book.page.evaluate("() => { delete navigator.clipboard.writeText; }")


@pytest.mark.usefixtures("tall")
def test_every_control_has_a_name(notebook: Open, lab: Lab) -> None:
    """Each control has a name and the schema's help as its description; axe finds nothing, whatever is on show."""
    book = notebook(LOAD, SEED, "%imagen_panel")
    book.run_all(2)
    shown = panel(book, 2)
    expect(tiles(shown).get_by_role("img")).to_have_count(3)
    shown.get_by_label("Model", exact=True).select_option("black-forest-labs/flux-schnell")
    expect(shown.get_by_label("Num outputs")).to_be_visible()
    tiles(shown).first.click()
    expect(shown.get_by_role("button", name="Copy as cell")).to_be_visible()
    assert nameless(lab.page, ".inb-panel") == []
    assert axe_violations(lab.page, ".inb-panel") == []
    for label, help_text in (("Num outputs", "Number of"), ("Vary", "several values"), ("Experiment", "Groups")):
        control = shown.get_by_label(label, exact=True)
        expect(control).to_have_accessible_description(re.compile(help_text))
    tiles(shown).nth(1).click(modifiers=["Shift"])
    expect(shown.get_by_role("slider")).to_be_visible()
    assert nameless(lab.page, ".inb-panel") == []
    assert axe_violations(lab.page, ".inb-panel") == []
    tiles(shown).nth(1).press("Enter")
    expect(lab.page.get_by_role("dialog").locator(".inb-facts")).to_contain_text("foxes")
    assert axe_violations(lab.page, "dialog") == []


@pytest.mark.usefixtures("tall")
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_words_are_readable_in_both_themes(lab: Lab, notebook: Open, shot: Shot, theme: str) -> None:
    """What is written has a contrast of at least 4.5 to its ground; what is wrong stands beside its control."""
    book = notebook(LOAD, SEED, "%imagen_panel")
    book.run_all(2)
    lab.theme(theme)
    try:
        shown = panel(book, 2)
        expect(tiles(shown).get_by_role("img")).to_have_count(3)
        shown.get_by_label("Prompt", exact=True).fill("a lighthouse at dusk, the sea like mist [blocked]")
        shown.get_by_role("button", name="Generate").click()
        expect(card(shown)).to_contain_text("flagged as sensitive", timeout=20_000)
        expect(tiles(shown)).to_have_count(4)  # the card may know before the strip, which then moves by a tile
        expect(tiles(shown).first).to_contain_text("blocked")
        shown.get_by_label("Prompt", exact=True).fill("a {fox")
        shown.get_by_label("Vary").fill("aspect_ratio=1:1|16:10")
        expect(shown.get_by_role("alert")).to_contain_text("Did you mean")
        tiles(shown).filter(has_text="a white fox").click()
        expect(shown.locator(".inb-details")).to_contain_text("a white fox")
        shot(f"panel-{theme.rsplit(maxsplit=1)[-1].lower()}")
        with suppress(AssertionError):
            until(lambda: faint(shown, WORDS) == [])  # colours and messages come one after another
        assert faint(shown, WORDS) == []
        assert axe_violations(lab.page, ".inb-panel") == []
    finally:
        lab.theme("JupyterLab Light")


def test_it_goes_on_while_a_cell_runs(notebook: Open) -> None:
    """What was submitted comes in while the kernel is busy with a cell."""
    waiting = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)\nprint('ended')"
    book = notebook(LOAD, "%imagen_panel", waiting)
    book.run(0)
    shown = panel(book, 1)
    shown.get_by_label("Prompt", exact=True).fill("a red fox")
    shown.get_by_role("button", name="Generate").click()
    book.start(2)
    expect(card(shown).get_by_role("img")).to_have_count(1)
    (book.folder / "go").touch()
    expect(book.ended(2)).to_contain_text("ended")


def focused(book: Notebook) -> tuple[str, str]:
    """The tag and the name of what has the focus."""
    tag, name = book.page.evaluate("""() => {
      const at = document.activeElement;
      const label = at.labels?.[0]?.innerText ?? '';
      return [at.tagName, at.getAttribute('aria-label') ?? (label || at.innerText || '')];
    }""")
    return tag, " ".join(name.split())


def walk_on(book: Notebook, count: int) -> list[tuple[str, str]]:
    """Press Tab so often, and say where it led."""
    steps = []
    for _ in range(count):
        book.page.keyboard.press("Tab")
        steps.append(focused(book))
    return steps


def tab_to(book: Notebook, name: str, *, most: int = 60) -> None:
    """Press Tab until what has the focus is called so."""
    seen = []
    for _ in range(most):
        book.page.keyboard.press("Tab")
        seen.append(focused(book))
        if seen[-1][1].startswith(name):
            return
    raise AssertionError(f"Tab did not reach {name!r}, but {seen}")
