"""What a notebook cell shows must survive JupyterLab's sanitizer and suit light and dark pages."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from importlib import resources

import pytest
from jinja2 import TemplateNotFound, UndefinedError
from markup import Markup
from sample_runs import pixel, run, unseen

from imagen_nb.planning.plan import plan
from imagen_nb.records import Progress, Status
from imagen_nb.views.cards import render_gallery, render_image, render_run, render_sweep
from imagen_nb.views.charts import render_intervals
from imagen_nb.views.differences import render_comparison
from imagen_nb.views.image_grid import Facet, Grid, GridRow, render_grid
from imagen_nb.views.pages import FOLDERS, cell_styles, fill
from imagen_nb.views.plans import render_plan
from imagen_nb.views.progress import live_tile, render_progress
from imagen_nb.views.run_table import LEADING, TRAILING, render_table

TAGS = frozenset(
    [
        *("a", "b", "del", "details", "div", "figure", "img", "ins", "span", "summary"),
        *("table", "tbody", "td", "th", "thead", "tr"),
    ]
)
ATTRIBUTES = frozenset(["alt", "class", "height", "href", "scope", "src", "style", "target", "title", "width"])
DECLARATIONS = frozenset(
    [
        *("align-items", "background", "border", "border-bottom", "border-collapse", "border-left", "border-radius"),
        *("border-spacing", "box-sizing", "display", "flex", "flex-wrap", "font-size", "font-weight", "gap"),
        *("grid-template-columns", "height", "justify-content", "line-height", "margin", "max-height", "max-width"),
        *("min-height", "min-width", "opacity", "overflow", "overflow-wrap", "overflow-x", "padding", "table-layout"),
        *("text-align", "text-decoration", "vertical-align", "white-space", "width", "word-break"),
    ]
)
"""What JupyterLab 4.6 keeps in a notebook that it does not trust, as far as the views use it."""

MORE = re.compile(
    r'<(style|script)>.*?</\1>|<input type="range" style="display:none" [^>]*>|;--ratio:[\d.]+'
    r'| (data-name|data-said|download|tabindex|role|aria-label)="[^"]*"',
    re.DOTALL,
)
"""What does more where it may run, and leaves nothing behind where it may not."""

IMAGE, NAN = unseen(), float("nan")
SHOWN: Mapping[str, Callable[[], Mapping[str, str]]] = {
    "card": lambda: render_run(run("a fox " * 100, [IMAGE], params={"steps": 4}, rating=3, note="good"), pixel),
    "text": lambda: render_run(run(status=Status.SUCCEEDED, text="The left one."), pixel),
    "failed card": lambda: render_run(run(error="no paint"), pixel),
    "image": lambda: render_image(run(images=[IMAGE]).images[0], pixel, link=lambda _image: "imagen_runs/x.jpg"),
    "gallery": lambda: render_gallery(
        [run(images=[IMAGE]), run(status=Status.UNKNOWN)], pixel, heading="Two", note="."
    ),
    "runs": lambda: render_sweep([run(images=[IMAGE]), run(error="no paint")], pixel),
    "live": lambda: render_progress(
        Progress(9, done=2, succeeded=1, failed=1), [live_tile(run(images=[IMAGE]), pixel)]
    ),
    "plan": lambda: render_plan(plan("a {x|y}", model="google/imagen-4", repeat=2), notes=["Large."]),
    "table": lambda: render_table(
        [run(images=[IMAGE]), run(images=[IMAGE] * 6), run()],
        [*LEADING, *TRAILING],
        pixel,
        link=lambda _image: "imagen_runs/x.jpg",
        note="Page 1 of 2.",
    ),
    "grid": lambda: render_grid(
        Grid([Facet("f", [GridRow("r", [[run(images=[IMAGE]), run()], []])], ["a", "b"], "x", "y")]),
        pixel,
        link=lambda _image: "imagen_runs/x.jpg",
    ),
    "intervals": lambda: {
        "text/html": render_intervals(
            "ink beats oil.", [("style", [("ink", 0.5, 0.1, 0.9), ("oil", *[NAN] * 3)])], "."
        ),
        "text/plain": "ink beats oil.",
    },
    "comparison": lambda: render_comparison(
        [run("a red fox", [IMAGE], params={"x": 1, "y": 2}), run("a grey fox", params={"y": 2})], pixel
    ),
    "slider": lambda: render_comparison([run(images=[IMAGE]), run(images=[IMAGE])], pixel, link=lambda _image: "x.jpg"),
}

shown = pytest.mark.parametrize("make", SHOWN.values(), ids=SHOWN)


@shown
def test_only_what_the_sanitizer_keeps_is_used(make: Callable[[], Mapping[str, str]]) -> None:
    """No element, attribute or declaration is used that an untrusted notebook would lose."""
    page = Markup.of(MORE.sub("", make()["text/html"]))
    assert set(page.tags) <= TAGS
    assert {name for _, attrs in page.elements for name in attrs} <= ATTRIBUTES
    declarations = [part for style in page.attributes("style") for part in style.split(";")]
    assert {part.partition(":")[0] for part in declarations} <= DECLARATIONS
    assert not [part for part in declarations if re.search(r"var\(|url\(|calc\(|inherit|anywhere|!important", part)]


@shown
def test_dollar_signs_are_no_mathematics(make: Callable[[], Mapping[str, str]]) -> None:
    """A front end that typesets what stands between two of them leaves all of our text alone."""
    assert re.match(r'<div class="imagen-nb-[a-z-]+ mathjax_ignore tex2jax_ignore"', make()["text/html"])


@shown
def test_the_markup_is_well_formed(make: Callable[[], Mapping[str, str]]) -> None:
    """Every start tag has its end, and nothing of a template is left in the output."""
    html = make()["text/html"]
    assert Markup.of(html).is_balanced
    assert not re.search(r"\{\{|\{%|None|class=\"[^i]", MORE.sub("", html))


@shown
def test_every_image_has_a_text_and_a_size(make: Callable[[], Mapping[str, str]]) -> None:
    """A screen reader has the prompt to read, and the page does not jump as images arrive."""
    for tag, attrs in Markup.of(make()["text/html"]).elements:
        if tag == "img":
            assert attrs["alt"]
            assert int(attrs["width"]) > 0
            assert int(attrs["height"]) > 0


@shown
def test_there_is_always_a_text_beside_the_html(make: Callable[[], Mapping[str, str]]) -> None:
    """A terminal shows the same in plain text."""
    rendering = make()
    assert set(rendering) == {"text/plain", "text/html"}
    assert rendering["text/plain"].strip()
    assert "<" not in rendering["text/plain"]


def test_text_keeps_the_pages_colour_and_grounds_are_translucent() -> None:
    """Nothing is white or black by itself, so light and dark pages both suit."""
    for name, declarations in cell_styles().items():
        for part in declarations.split(";"):
            prop, _, value = part.partition(":")
            assert prop != "color", name
            if prop == "background" and not name.startswith(("dot-", "done", "lost", "track-clear", "track-dot")):
                assert value == "transparent" or value.startswith("rgba("), name


def test_states_differ_from_both_grounds() -> None:
    """The coloured marks stand out from white and from #111 by a contrast of about 3."""
    for name in ("dot-good", "dot-bad", "dot-busy", "dot-quiet", "done", "lost", "track-clear", "track-dot"):
        colour = re.search(r"background:#([0-9a-f]{6})", cell_styles()[name])
        assert colour is not None
        for ground in ("ffffff", "111111"):
            assert contrast(colour[1], ground) >= 2.9, name


def test_every_template_is_html_that_stands_on_its_own() -> None:
    """Each file opens in a browser as it is: balanced, with its style sheet linked and every class in it defined."""
    for path in resources.files("imagen_nb.views").joinpath("templates").iterdir():
        text = path.read_text("utf-8")
        page = Markup.of(re.sub(r"\{[{%].*?[%}]\}", "", text))
        assert page.is_balanced, path.name
        sheet = "report" if path.name == "report.html" else "cells"
        assert page.attributes("href")[0] == f"../assets/{sheet}.css", path.name
        if sheet == "cells":
            names = {name for value in page.attributes("class") for name in value.split()}
            assert {name for name in names if not name.startswith("imagen-nb")} <= set(cell_styles()), path.name


def test_every_template_is_found_by_its_name_alone() -> None:
    """Cells and panel share one set of templates: no name is in both folders, and each can be compiled."""
    names = [path.name for folder in FOLDERS for path in resources.files("imagen_nb").joinpath(folder).iterdir()]
    templates = [name for name in names if name.endswith(".html")]
    assert len(set(templates)) == len(templates) > len(SHOWN)
    for name in templates:
        with contextlib.suppress(UndefinedError):
            fill(name)
    with pytest.raises(TemplateNotFound):
        fill("nothing.html")


def test_no_class_is_defined_for_nothing() -> None:
    """Every rule of the cells' style sheet is used."""
    folder = resources.files("imagen_nb.views")
    texts = [path.read_text("utf-8") for path in folder.joinpath("templates").iterdir()]
    used = " ".join(texts)
    for name in cell_styles():
        assert re.search(rf"[\" ']{name}[\" ']", used) or name.startswith(
            ("tone-", "dot-", "edge-", "table-", "track-")
        ), name


def contrast(first: str, second: str) -> float:
    """The WCAG contrast ratio of two colours."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
