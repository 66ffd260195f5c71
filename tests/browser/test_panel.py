"""The panel in JupyterLab: by mouse, by keyboard alone, across a reload, in the dark, and as a screen reader has it."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from lab import Lab, Notebook, until
from look import faint, nameless
from playwright.sync_api import Locator, expect

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
    assert "Load into form" in [name for _, name in walk_on(book, 8)]
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


def test_picks_and_lightbox_by_arrows(notebook: Open, shot: Shot) -> None:
    """The arrows go through the gallery and the lightbox, and the notebook's own keys stay out of it."""
    book = notebook(LOAD, SEED, "%imagen_panel")
    book.run_all(2)
    shown = panel(book, 2)
    expect(tiles(shown)).to_have_count(3)
    expect(tiles(shown).get_by_role("img")).to_have_count(3)
    keyboard = book.page.keyboard
    tiles(shown).first.click()
    for key in ("ArrowRight", "End", "ArrowLeft"):
        keyboard.press(key)
    keyboard.press("d")
    keyboard.press("d")
    expect(shown.locator(".inb-tile:focus")).to_have_attribute("aria-label", re.compile("^Run 2 of 3: a blue fox"))
    keyboard.press("Enter")
    dialog = book.page.get_by_role("dialog", name="Enlarged image")
    expect(dialog).to_contain_text("2 of 3")
    keyboard.press("ArrowRight")
    expect(dialog).to_contain_text("3 of 3")
    expect(dialog.get_by_role("button", name="Next image")).to_be_disabled()
    until(lambda: dialog.get_by_role("img").evaluate("image => image.naturalWidth") == 1024, what="the large image")
    shot("lightbox")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)
    expect(book.panel.locator(".jp-CodeCell")).to_have_count(3)


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
    details.get_by_role("button", name="Load into form").click()
    expect(shown.get_by_label("Prompt", exact=True)).to_have_value("a blue fox in snow")
    details.get_by_role("button", name="Copy as cell").click()
    expect(details.get_by_role("status")).to_contain_text("Copied")
    assert book.page.evaluate("navigator.clipboard.readText()").endswith("\na blue fox in snow")
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
    """The divider follows the mouse and the keys, and says where it is."""
    expect(slider).to_have_attribute("aria-valuenow", "50")
    box = slider.locator("xpath=..").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 40, steps=4)
    page.mouse.up()
    expect(slider).to_have_attribute("aria-valuenow", "25")
    expect(slider).to_be_focused()
    for key, value in (("ArrowRight", "27"), ("PageUp", "37"), ("Home", "0"), ("End", "100")):
        page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuenow", value)
    expect(slider).to_have_attribute("aria-valuetext", "100 % A, 0 % B")


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
    """In the accessibility tree each control of the panel has a name, with a run picked and with two compared."""
    book = notebook(LOAD, SEED, "%imagen_panel")
    book.run_all(2)
    shown = panel(book, 2)
    expect(tiles(shown).get_by_role("img")).to_have_count(3)
    shown.get_by_label("Model", exact=True).select_option("black-forest-labs/flux-schnell")
    expect(shown.get_by_label("Num outputs")).to_be_visible()
    tiles(shown).first.click()
    expect(shown.get_by_role("button", name="Copy as cell")).to_be_visible()
    assert nameless(lab.page, ".inb-panel") == []
    tiles(shown).nth(1).click(modifiers=["Shift"])
    expect(shown.get_by_role("slider")).to_be_visible()
    assert nameless(lab.page, ".inb-panel") == []


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
