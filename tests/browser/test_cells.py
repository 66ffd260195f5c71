"""The magics where users meet them: cells in JupyterLab, in a real browser, on a real kernel."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import nbformat
from lab import Lab, Notebook, until
from look import contrast
from playwright.sync_api import Locator, expect

from imagen_nb.simulator import Simulator

Open = Callable[..., Notebook]
Shot = Callable[..., None]


def is_whole(image: Locator) -> bool:
    """Whether the browser decoded the picture."""
    return bool(image.evaluate("image => image.complete && image.naturalWidth > 0"))


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
    """The live view shows what has come; an interrupt cancels the rest at the provider, and few lines say so."""
    before = len(service.predictions)
    book = notebook("%load_ext imagen_nb", "%imagen -n 2 a {red|[stuck]} fox")
    book.run(0)
    book.start(1)
    live = book.output(1)
    expect(live.locator(".imagen-nb-live img")).to_have_count(2, timeout=30_000)
    expect(live).to_contain_text("2 of 4")
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
    expect(popup.locator(".jp-Completer-item")).to_have_count(1)
    keyboard.press("Enter")
    expect(editor).to_have_text("%imagen a red f")


def test_untrusted_notebook_still_shows_pictures(lab: Lab, notebook: Open, shot: Shot) -> None:
    """Opened from a stranger's file, pictures and texts are there without running anything, and nothing active is."""
    book = notebook("%load_ext imagen_nb", "%imagen a fox <img src=x onerror=alert(1)>", "%imagen_panel")
    book.run_all(3)
    saved = book.save()
    saved.cells.append(nbformat.v4.new_markdown_cell("changed by a stranger, so the signature does not fit"))
    path = book.folder / "stranger.ipynb"
    nbformat.write(saved, path)
    book.close()
    strange = lab.open(str(path.relative_to(lab.server.root)))
    shown = strange.output(1)
    pictures = shown.locator("img")
    expect(pictures).to_have_count(1)
    assert is_whole(pictures)
    assert pictures.get_attribute("alt") == "a fox <img src=x onerror=alert(1)>"
    assert shown.locator("[onerror], script, style").count() == 0
    expect(strange.output(2)).to_contain_text("imagen_nb panel")
    expect(strange.output(2).get_by_role("img")).to_have_count(1)
    shot("untrusted")
    strange.close()


def test_cells_look_right_in_the_dark(lab: Lab, notebook: Open, shot: Shot) -> None:
    """In the dark theme a card's words are as readable as in the light one."""
    book = notebook("%load_ext imagen_nb", "%imagen a lighthouse at dusk", "%imagen a [blocked] prompt")
    book.run_all(3)
    lab.theme("JupyterLab Dark")
    try:
        expect(book.output(2)).to_contain_text(re.compile("flagged as sensitive"))
        for words in book.output(1).get_by_text("a lighthouse at dusk").all():
            assert contrast(words) >= 4.5
        shot("cells-dark")
    finally:
        lab.theme("JupyterLab Light")


def test_comparison_is_a_slider_where_one_looks_and_a_picture_in_the_file(notebook: Open, shot: Shot) -> None:
    """`df.imagen.compare` is live in JupyterLab; the saved output has both images as they are."""
    book = notebook("%load_ext imagen_nb", "r = %imagen -a 1:1,16:9 a red fox", "r.frame().imagen.compare(0, 1)")
    book.run_all(2)
    shown = book.run(2)
    slider = shown.get_by_role("slider", name="Divider between A and B")
    expect(slider).to_have_attribute("aria-valuenow", "50")
    expect(shown.get_by_role("row", name="aspect_ratio 1:1 16:9")).to_be_visible()
    shot("compare", book.cell(2))
    (output,) = book.save().cells[2].outputs
    assert output.data["text/html"].count("data:image/") == 2


def test_contrast_counts_as_wcag_does(lab: Lab) -> None:
    """The measure itself: black on white is 21."""
    lab.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p id=measure>x</p>')")
    measure: Any = lab.page.locator("#measure")
    measure.evaluate("element => Object.assign(element.style, {color: '#000', background: '#fff'})")
    assert abs(contrast(measure) - 21) < 0.01
    measure.evaluate("element => element.remove()")
    assert until(lambda: lab.page.locator("#measure").count() == 0)
