"""The magics where users meet them: cells in JupyterLab, in a real browser, on a real kernel."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import nbformat
from lab import Lab, Notebook, until
from look import axe_violations, contrast, faint
from playwright.sync_api import Locator, expect

from imagen_nb.simulator import Simulator

WATCH = """() => {
  window.shifted = 0;
  const moved = (list) => list.getEntries().forEach((each) => { window.shifted += each.value; });
  new PerformanceObserver(moved).observe({ type: "layout-shift" });
  window.heard = [];
  const region = document.getElementById("imagen-nb-said");
  new MutationObserver(() => window.heard.push(region.textContent)).observe(region, { childList: true });
}"""
"""Keep how much the page moves from now on, as the browser counts it, and what a screen reader is given to say."""

CUT = "one => one.style.getPropertyValue('--cut')"

Open = Callable[..., Notebook]
Shot = Callable[..., None]


def is_whole(image: Locator) -> bool:
    """Whether the browser decoded the picture."""
    return bool(image.evaluate("image => image.complete && image.naturalWidth > 0"))


def open_original(link: Locator) -> Locator:
    """Click on a picture, and give the large view that opens: it fills the window and has the whole original."""
    link.click()
    large = link.page.get_by_role("dialog", name="Large view")
    until(lambda: is_whole(large.locator("img")))
    assert large.evaluate("one => one.clientWidth / innerWidth + one.clientHeight / innerHeight") == 2
    return large


def test_one_cell_from_prompt_to_picture(notebook: Open, service: Simulator, shot: Shot) -> None:
    """`%load_ext`, then `%imagen`: the picture is under the cell, described, and the log has the row."""
    before = len(service.predictions)
    book = notebook("%load_ext imagen_nb", "%imagen -a 16:9 a red fox in snow", "%imagen_log")
    book.run(0)
    shown = book.run(1)
    picture = shown.get_by_role("img", name="a red fox in snow")
    expect(picture).to_have_count(1)
    assert is_whole(picture)
    expect(shown).to_contain_text("$0.04")
    expect(book.run(2)).to_contain_text("a red fox in snow")
    assert len(service.predictions) == before + 1
    shot("cell", book.cell(1))


def test_axes_fill_a_grid_of_pictures(notebook: Open, shot: Shot) -> None:
    """`%%imagen` with a slot and a list of values makes every combination, and the accessor shows the grid."""
    book = notebook(
        "%load_ext imagen_nb",
        "%%imagen -e foxes -a 1:1,16:9\na {red|blue} fox\nin snow",
        "_.frame().imagen.grid(rows='slot_1', cols='aspect_ratio')",
    )
    book.run(0)
    shown = book.run(1)
    expect(shown.locator("img")).to_have_count(4)
    expect(shown).to_contain_text("4 of 4 succeeded")
    grid = book.run(2)
    expect(grid.locator("img")).to_have_count(4)
    assert all(is_whole(image) for image in grid.locator("img").all())
    shot("grid", book.cell(2))


def test_interrupt_in_mid_run(notebook: Open, service: Simulator, shot: Shot) -> None:
    """The live view shows what has come; an interrupt cancels the rest at the provider, and few lines say so.

    Nothing moves as pictures arrive, a screen reader hears little, and a click opens the original.
    """
    before = len(service.predictions)
    book = notebook("%load_ext imagen_nb", "%imagen -n 2 -j 3 a {red|[stuck]} fox")
    book.run(0)
    book.start(1)
    live = book.output(1)
    expect(live.get_by_text("waiting")).to_have_count(4, timeout=30_000)
    book.page.evaluate(WATCH)
    expect(live.locator(".imagen-nb-live img")).to_have_count(2, timeout=30_000)
    expect(live).to_contain_text("2 of 4")
    expect(live.get_by_text("waiting")).to_have_count(2)
    book.page.wait_for_timeout(1_500)  # the clock goes on, and with it the line
    assert book.page.evaluate("() => window.shifted") <= 0.01
    assert len(book.page.evaluate("() => window.heard")) <= 2
    expect(book.page.get_by_role("status").filter(has_text="50 % of 4 requests done")).to_have_count(1)
    large = open_original(live.locator("a").first)
    assert large.locator("img").evaluate("image => image.naturalWidth") == 1024
    book.page.keyboard.press("Escape")
    shot("live-view", book.cell(1))
    book.interrupt()
    ended = book.ended(1)
    expect(ended).to_contain_text("Interrupted")
    expect(ended).to_contain_text("resume")
    statuses = sorted(each["status"] for each in service.predictions[before:])
    assert statuses == ["canceled", "canceled", "succeeded", "succeeded"]
    shot("interrupted", book.cell(1))


def test_mistake_is_two_lines(notebook: Open, service: Simulator, shot: Shot) -> None:
    """A value that the model does not allow fails the cell in two lines, and nothing is sent."""
    before = len(service.predictions)
    book = notebook("%load_ext imagen_nb", "%imagen -a 16:10 a red fox")
    book.run(0)
    error = book.run(1).locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr'], pre").last
    expect(error).to_contain_text("16:10")
    assert len(error.inner_text().strip().splitlines()) <= 2
    assert len(service.predictions) == before
    shot("mistake", book.cell(1))


def test_completion_pops_up(notebook: Open, shot: Shot) -> None:
    """Tab offers options and values, also past a colon, and Enter takes one."""
    book = notebook("%load_ext imagen_nb", "%imagen -m fl")
    book.run(0)
    keyboard, popup = book.page.keyboard, book.page.locator(".jp-Completer:visible")
    book.cell(1).locator(".cm-content").click()
    keyboard.press("End")
    keyboard.press("Tab")
    expect(popup).to_contain_text("black-forest-labs/flux-schnell")
    expect(popup).not_to_contain_text("float")
    shot("completion")
    keyboard.press("Enter")
    editor = book.cell(1).locator(".cm-content")
    expect(editor).to_contain_text("%imagen -m black-forest-labs/flux-")
    keyboard.press("Control+a")
    keyboard.type("%imagen -a 16:")
    keyboard.press("Tab")
    expect(popup).to_contain_text("16:9")
    keyboard.press("Enter")
    expect(editor).to_have_text("%imagen -a 16:9")


def test_completion_in_a_prompt_has_no_names(notebook: Open) -> None:
    """Tab in the words of a prompt offers no Python names, and changes nothing."""
    book = notebook("%load_ext imagen_nb", "%imagen a red f")
    book.run(0)
    keyboard, popup = book.page.keyboard, book.page.locator(".jp-Completer:visible")
    editor = book.cell(1).locator(".cm-content")
    editor.click()
    keyboard.press("End")
    keyboard.press("Tab")
    book.page.wait_for_timeout(1_500)  # what it would take to pop up
    expect(popup).to_have_count(0)
    expect(editor).to_have_text("%imagen a red f")


EVERYTHING = (
    "%load_ext imagen_nb",
    "r = %imagen -e zoo -a 16:9 a {red|blue} fox <img src=x onerror=alert(1)> for $5 or $6",
    "r[0]",
    "%imagen -e zoo a [blocked] fox",
    "df = %imagen_log",
    "df.imagen.compare(0, 1)",
    "df.imagen.compare()",
    "df.imagen.gallery()",
    "df.imagen.grid()",
    "df.imagen.table()",
    "%imagen --dry-run -n 3 a {red|blue|green} fox",
    "%imagen_panel",
)
SLIDER, SIDES, GALLERY, PANEL = 5, 6, 7, 11


def test_all_that_cells_show(lab: Lab, notebook: Open, shot: Shot) -> None:
    """Axe finds nothing in it, light and dark, and all words stand out; saved, it is all there without a kernel.

    Then two pictures are still under a slider that moves, a click opens an original, and the panel says what to do.
    """
    book = notebook(*EVERYTHING)
    book.run_all(len(EVERYTHING))
    outputs = [book.output(at) for at in range(1, PANEL)]
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        lab.theme(theme)
        assert axe_violations(lab.page, "[class^=imagen-nb-]") == []
        assert faint(book.panel, ["[class^=imagen-nb-] :is(div, span, td, th, a, summary)"]) == []
        book.cell(SIDES).scroll_into_view_if_needed()
        shot(f"cells-{theme.split()[1].lower()}")
    assert book.panel.locator("mjx-container").count() == 0, "dollars are no mathematics"
    texts = [output.inner_text() for output in outputs]
    pictures = [output.locator("img").count() for output in outputs]
    book.save()
    book.close()

    again = lab.read(book.path)
    for at, (text, count) in enumerate(zip(texts, pictures, strict=True), 1):
        again.cell(at).scroll_into_view_if_needed()
        expect(again.output(at).locator("img")).to_have_count(count)
        assert until(lambda: all(is_whole(image) for image in again.output(at).locator("img").all()))  # noqa: B023
        assert again.output(at).inner_text() == text
    panel = again.output(PANEL)
    expect(panel).to_have_text(re.compile("; run this cell again to open the panel.$"), use_inner_text=True)
    slider = again.output(SLIDER).get_by_role("slider", name="Divider between A and B")
    slider.press("End")
    expect(slider).to_have_value("100")
    box = slider.bounding_box()
    assert box is not None
    lab.page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + 20)
    assert again.output(SLIDER).locator(".imagen-nb-slide").evaluate(CUT) == "25%"
    shot("compare", again.cell(SLIDER))
    large = open_original(again.output(GALLERY).locator("a").first)
    expect(large).to_contain_text("red_16x9.jpg")
    lab.page.keyboard.press("ArrowRight")
    expect(large).to_contain_text("blue_16x9.jpg")
    with lab.page.expect_download() as saved:
        large.get_by_text("Download").click()
    assert saved.value.suggested_filename == "blue_16x9.jpg"
    assert axe_violations(lab.page, "dialog") == []
    shot("large-view")
    lab.page.keyboard.press("Escape")
    expect(large).to_have_count(0)
    again.close()


def test_untrusted_notebook_still_shows_pictures(lab: Lab, notebook: Open, shot: Shot) -> None:
    """Opened from a stranger's file, pictures and texts are there without running anything, and nothing active is."""
    cells = ("%load_ext imagen_nb", EVERYTHING[1], "r.frame().imagen.compare()", "%imagen_panel", "r.frame().imagen")
    book = notebook(*cells)
    book.run_all(len(cells))
    saved = book.save()
    saved.cells.append(nbformat.v4.new_markdown_cell("changed by a stranger, so the signature does not fit"))
    path = book.folder / "stranger.ipynb"
    nbformat.write(saved, path)
    book.close()
    strange = lab.open(str(path.relative_to(lab.server.root)))
    shown = strange.output(2)
    pictures = shown.locator("img")
    expect(pictures).to_have_count(2)
    assert all(is_whole(picture) for picture in pictures.all())
    assert pictures.first.get_attribute("alt") == "a red fox <img src=x onerror=alert(1)> for $5 or $6"
    assert shown.locator("[onerror], [oninput], script, style").count() == 0
    left, right = (picture.bounding_box() for picture in pictures.all())
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] <= right["x"], "side by side"
    expect(shown.locator("input")).to_be_hidden()
    expect(shown.get_by_role("link", name="Open the original")).to_have_count(2)
    expect(strange.output(3)).to_contain_text("run this cell again to open the panel")
    expect(strange.output(3).get_by_role("img")).to_have_count(2)
    strange.cell(4).scroll_into_view_if_needed()
    expect(strange.output(4).locator("img")).to_have_count(2)
    expect(strange.output(4)).to_contain_text("a blue fox <img src=x onerror=alert(1)>")
    shot("untrusted")
    strange.close()


def test_contrast_counts_as_wcag_does(lab: Lab) -> None:
    """The measure itself: black on white is 21."""
    lab.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p id=measure>x</p>')")
    measure: Any = lab.page.locator("#measure")
    measure.evaluate("element => Object.assign(element.style, {color: '#000', background: '#fff'})")
    assert abs(contrast(measure) - 21) < 0.01
    measure.evaluate("element => element.remove()")
    assert until(lambda: lab.page.locator("#measure").count() == 0)
