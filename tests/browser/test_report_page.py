"""The report in a browser: offline, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from look import axe_violations, faint
from playwright.sync_api import Browser, Page, expect
from sample_runs import frame, image, run

import imagen_nb.accessor  # noqa: F401 - gives frames their .imagen
from imagen_nb.records import Status
from imagen_nb.views.report_page import render_report
from imagen_nb.views.thumbnails import thumbs

NAME = """one => one.getAttribute('aria-label') || one.labels?.[0]?.textContent || one.textContent
  || one.querySelector('img')?.alt"""
ATTACK = "<img src=x onerror=\"document.title='owned'\">"
TITLE = f"Animals {ATTACK}"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("report") / "imagen_runs"
    runs = [
        run(
            f"a {animal} in {style} {ATTACK}",
            [image(home, n)],
            number=n,
            template="a {animal} in {style}",
            slots={"animal": animal, "style": style},
        )
        for n, (animal, style) in enumerate((a, s) for a in ("fox", "owl") for s in ("oil", "ink"))
    ]
    blocked = run(
        "a hen",
        number=9,
        template="a {animal} in {style}",
        slots={"animal": "hen", "style": "oil"},
        error="Flagged.",
        error_code="blocked",
    )
    return frame([*runs, blocked]).imagen.report(home / "report.html", title=TITLE)


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Page]:
    """The report, opened from the disk without a network; any word on the console fails the test."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(path.as_uri())
    yield opened
    title = opened.title()
    context.close()
    assert said == []
    assert title == TITLE


def test_it_opens_on_a_grid_of_what_varies(page: Page) -> None:
    """The grid is drawn from the axes that vary, with images in its cells and reasons where there is none."""
    grid = page.locator("#grid")
    expect(grid).to_be_visible()
    expect(grid.locator("img")).to_have_count(4)
    expect(grid).to_contain_text("Flagged.")
    expect(grid.locator("tbody th")).to_have_count(3)
    page.locator("#rows").select_option("style")
    page.locator("#cols").select_option("animal")
    expect(grid.locator("thead th")).to_have_text(["style ↓  animal →", "fox", "owl", "hen"])


def test_the_filter_narrows_every_view(page: Page) -> None:
    """Words and a status leave only what fits them, counted aloud."""
    page.locator("#search").fill("owl ink")
    expect(page.locator("#shown")).to_have_text("1 of 5 shown")
    expect(page.locator("#grid img")).to_have_count(1)
    page.locator("#search").fill("")
    page.locator("#state").select_option("blocked")
    page.get_by_role("button", name="Gallery").click()
    expect(page.locator(".run:visible")).to_have_count(1)
    page.get_by_role("button", name="Table").click()
    expect(page.locator("#table tbody tr:visible")).to_have_count(1)


def test_the_table_sorts_by_any_column_and_says_so(page: Page) -> None:
    """A column's button sorts up, then down; numbers as numbers, what is missing last."""
    page.get_by_role("button", name="Table").click()
    button = page.get_by_role("button", name="seconds")
    cells = page.locator("#table tbody td.number[data-sort]")
    for order, sign in (("ascending", 1), ("descending", -1)):
        button.press("Enter")
        expect(page.locator(f'th[aria-sort="{order}"]')).to_have_text("seconds")
        numbers = page.locator("#table tbody tr").evaluate_all(
            "rows => rows.map(row => Number([...row.children].find(cell => cell.dataset.sort)?.dataset.sort ?? NaN))"
        )
        assert numbers == sorted(numbers, key=lambda number: sign * number)
    assert cells.count() > 4


def test_the_lightbox_is_walked_by_keyboard(page: Page) -> None:
    """Enter opens an image under the name of what varies, arrows walk on, Escape closes, and the focus comes back."""
    page.get_by_role("button", name="Gallery").click()
    first = page.locator(".run .open").first
    first.focus()
    page.keyboard.press("Enter")
    box = page.get_by_role("dialog", name="Image")
    expect(box.locator("h2")).to_have_text("fox_oil.png · 1 of 4")
    page.keyboard.press("ArrowRight")
    expect(box.locator("h2")).to_have_text("fox_ink.png · 2 of 4")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(box.locator("h2")).to_have_text("owl_ink.png · 4 of 4")
    expect(box.locator(".facts")).to_contain_text("a owl in ink")
    with page.expect_download() as saved:
        box.get_by_text("Download").click()
    assert saved.value.suggested_filename == "owl_ink.webp"
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    expect(first).to_be_focused()


def test_two_runs_are_compared_by_slider_and_by_words(page: Page) -> None:
    """The slider moves by keyboard and by mouse; words and settings that differ are marked."""
    page.get_by_role("button", name="Gallery").click()
    page.locator(".pick").nth(0).click()
    page.locator(".pick").nth(1).click()
    page.get_by_role("button", name="Compare them").click()
    box = page.get_by_role("dialog", name="Two runs compared")
    slider = box.get_by_role("slider")
    expect(slider).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_value("51")
    where = box.locator(".slider").bounding_box()
    assert where is not None
    page.mouse.click(where["x"] + where["width"] * 0.25, where["y"] + where["height"] / 2)
    assert 20 <= int(slider.input_value()) <= 30
    assert box.locator(".slider").evaluate("one => one.style.getPropertyValue('--cut')") == f"{slider.input_value()}%"
    expect(box.locator("del")).to_have_text("oil")
    expect(box.locator("ins")).to_have_text("ink")
    expect(box.locator(".differences tr")).to_have_text(["settingAB", "styleoilink"])


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Failures that repeat, numbers beside what is not set, and levels with an order of their own."""
    home = tmp_path_factory.mktemp("mixed") / "imagen_runs"
    steps = [10, None, 9, 100]
    good = [run("a fox", [image(home, n)], number=n, params={"steps": steps[n], "level": "high"}) for n in range(4)]
    bad = [
        run(
            "a fox",
            number=n,
            params={"steps": 9, "level": level},
            error=f"Flagged. (E005) (x{n})",
            error_code="blocked",
        )
        for n, level in enumerate(["high", "low", "low", "low"], 4)
    ]
    log = frame([*good, *bad])
    log["level"] = pd.Categorical(log["level"], ["low", "medium", "high"], ordered=True)
    return log.imagen.report(home / "report.html", title=TITLE)


@pytest.fixture
def mixed_page(page: Page, mixed: Path) -> Page:
    page.goto(mixed.as_uri())
    return page


def test_runs_that_failed_alike_are_one_remark(mixed_page: Page) -> None:
    """State and reason stand apart, and a reason that several runs share is said once with their number."""
    mixed_page.locator("#rows").select_option("level")
    mixed_page.locator("#cols").select_option("")
    mixed_page.locator("#facet").select_option("")
    assert mixed_page.locator(".remark").all_inner_texts() == ["3 blocked\nFlagged. (E005)", "blocked\nFlagged. (E005)"]


def test_a_grid_says_what_its_cells_mix(mixed_page: Page) -> None:
    """A setting that differs within a cell is named below, and no longer once it is an axis."""
    rows, cols, facet = (mixed_page.locator(id_) for id_ in ("#rows", "#cols", "#facet"))
    rows.select_option("level")
    cols.select_option("")
    facet.select_option("")
    expect(mixed_page.locator("#mixed")).to_have_text("Cells mix different steps.")
    cols.select_option("steps")
    expect(mixed_page.locator("#mixed")).to_be_hidden()


def test_the_axes_of_a_report_run_as_those_of_a_grid(mixed_page: Page) -> None:
    """Numbers by size, categories in their own order, and what is not set last, whatever is filtered."""
    rows, cols = mixed_page.locator("#rows"), mixed_page.locator("#cols")
    cols.select_option("")
    rows.select_option("steps")
    expect(mixed_page.locator("#grid tbody th")).to_have_text(["9", "10", "100", "not set"])
    rows.select_option("level")
    expect(mixed_page.locator("#grid tbody th")).to_have_text(["low", "high"])


def test_a_run_without_an_image_is_compared_by_its_reason(page: Page) -> None:
    """The other image stays in sight beside the reason, Close has the focus, and a swap turns the sides."""
    page.get_by_role("button", name="Gallery").click()
    page.locator(".pick").nth(0).click()
    page.locator(".pick").nth(4).click()
    page.get_by_role("button", name="Compare them").click()
    box = page.get_by_role("dialog", name="Two runs compared")
    sides = box.locator(".side")
    expect(box.get_by_role("button", name="Close")).to_be_focused()
    expect(box.locator(".slider")).to_be_hidden()
    expect(sides.nth(0).locator("img")).to_be_visible()
    expect(sides.nth(1)).to_have_text("Bblocked Flagged.")
    box.get_by_role("button", name="Swap").click()
    expect(sides.nth(1).locator("img")).to_be_visible()
    expect(sides.nth(0)).to_contain_text("Flagged.")
    page.keyboard.press("Escape")
    page.locator(".pick").nth(4).click()
    page.locator(".pick").nth(1).click()
    page.get_by_role("button", name="Compare them").click()
    expect(box.get_by_role("slider")).to_be_focused()
    expect(box.locator(".sides")).to_be_hidden()


def sparse(home: Path) -> Path:
    """A report whose grid would be three pictures in nine cells."""
    runs = [run("a fox", [image(home, n)], number=n, slots={"a": n, "b": str(n)}) for n in range(3)]
    path = home / "sparse.html"
    path.write_text(render_report(runs, thumbs([each.images[0] for each in runs], 64), title=TITLE, rows="a", cols="b"))
    return path


def test_mixed_experiments_open_each_on_its_own_grid(page: Page, path: Path) -> None:
    """Each has the axes that it varies, and no cell says that there was no run; a run of text shows what it says."""
    home = path.parent
    zoo = [
        run(
            f"a {animal}", [image(home, n)], number=n, template="a {animal}", slots={"animal": animal}, experiment="zoo"
        )
        for n, animal in enumerate(("fox", "owl"))
    ]
    cars = [
        run(f"{c} {k}", [image(home, n)], number=n, template="{c} {k}", slots={"c": c, "k": k}, experiment="cars")
        for n, (c, k) in enumerate((c, k) for c in ("red", "blue") for k in ("car", "bus"))
    ]
    judge = run("which?", number=20, status=Status.SUCCEEDED, text="The <left> one.", model="a/b", experiment="judge")
    page.goto(frame([*zoo, *cars, judge]).imagen.report(home / "mixed.html", title=TITLE).as_uri())
    expect(page.locator("#grid h2")).to_have_text(["experiment = zoo", "experiment = cars", "experiment = judge"])
    expect(page.locator("#grid tbody th")).to_have_text(["fox", "owl", "red", "blue"])
    expect(page.locator("#grid thead th:not(.corner)")).to_have_text(["car", "bus"])
    expect(page.locator("#grid .none")).to_have_count(0)
    expect(page.locator("#grid")).to_contain_text("The <left> one.")
    page.locator("#search").fill("the <left>")
    expect(page.locator("#shown")).to_have_text("1 of 7 shown")
    page.goto(sparse(home).as_uri())
    expect(page.locator("#gallery")).to_be_visible()
    page.get_by_role("button", name="Grid").click()
    expect(page.locator("#grid .none")).to_have_count(6)


def test_axe_finds_nothing(page: Page, mixed: Path) -> None:
    """In every view and every dialog, on light and dark screens; all texts stand out from what is behind them."""
    for address, scheme in ((page.url, "light"), (mixed.as_uri(), "dark")):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] - one of two words
        page.goto(address)
        for view in ("Gallery", "Grid", "Table"):
            page.get_by_role("button", name=view, exact=True).click()
            assert axe_violations(page, "html") == []
            assert faint(page.locator("main"), ["span", "p", "dd", "dt", "th", "td"]) == []
        page.get_by_role("button", name="Gallery").click()
        page.locator(".run .open").first.click()
        assert axe_violations(page, "html") == []
        page.keyboard.press("Escape")
        for at in (0, 1):
            page.locator(".pick").nth(at).click()
        page.get_by_role("button", name="Compare them").click()
        assert axe_violations(page, "html") == []


def test_the_controls_do_not_cover_a_small_screen(page: Page) -> None:
    """On a phone they scroll away with the page; on a larger screen they stay at hand."""
    place = "one => getComputedStyle(one).position"
    assert page.locator(".controls").evaluate(place) == "sticky"
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.locator(".controls").evaluate(place) == "static"


def test_every_control_has_a_name(page: Page) -> None:
    """A screen reader can say what each button, field and slider is for."""
    for role in ("button", "textbox", "searchbox", "combobox", "slider"):
        for control in page.get_by_role(role, include_hidden=True).all():
            name = control.evaluate(NAME)
            assert name.strip()


def test_without_scripts_all_is_still_there(browser: Browser, path: Path) -> None:
    """Gallery and table are plain HTML, so a page whose script may not run still shows everything."""
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(path.as_uri())
    expect(plain.locator(".run")).to_have_count(5)
    expect(plain.locator(".run").first).to_be_visible()
    expect(plain.locator("#table tbody tr").last).to_be_visible()
    expect(plain.locator(".controls")).to_be_hidden()
    context.close()
