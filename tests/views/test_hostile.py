"""Text from a prompt, an error, a model or a path is text and nothing else, wherever it is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from markup import Markup
from sample_runs import pixel, run, unseen

from imagen_nb.planning.plan import plan
from imagen_nb.records import Image, Progress, Run
from imagen_nb.views.cards import render_gallery, render_run, render_sweep
from imagen_nb.views.differences import render_comparison
from imagen_nb.views.image_grid import Facet, Grid, GridRow, render_grid
from imagen_nb.views.pictures import below
from imagen_nb.views.plans import render_plan
from imagen_nb.views.progress import live_tile, render_progress
from imagen_nb.views.report_page import render_report
from imagen_nb.views.run_table import LEADING, TRAILING, TableColumn, render_table

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "javascript:alert(1)",
    "{{ 7*7 }}{% include 'card.html' %}",
    "</style></script></title><svg onload=alert(1)>",
    "<!-- ]]> -->",
    "&lt;b&gt; &#60;i&#62;",
    "\x00\x1b]0;owned\x07",
    '<link rel="stylesheet" href="../assets/report.css">',
    '<script src="../assets/report.js"></script>',
]


def shapes(text: str) -> list[tuple[str, str]]:
    """Every view of runs that are made of this text wherever a text can be; with its name."""
    path = Path("/home/me/runs") / text.replace("/", "_").replace("\0", "_")
    image = replace(unseen(), path=path, mime=f"image/{text}", url=text)
    done, failed = evil(text, [image]), evil(text, [])
    link: Callable[[Image], str | None] = below(Path("/home/me"))
    bare = run("", model="x")
    tiles = [live_tile(one, pixel) for one in (done, failed)]
    grid = Grid([Facet(text, [GridRow(text, [[done, failed]])], [text], text, text)], text)
    own = TableColumn(text, "setting", lambda _run: text)
    asked = plan("{" + "x}", model="google/imagen-4", x=[text, text + "2"], raw=False)
    renderings = {
        "card": render_run(done, pixel, link=link),
        "failed card": render_run(failed, pixel),
        "gallery": render_gallery([done, failed], pixel, link=link, heading=text, note=text),
        "runs": render_sweep([done, failed], pixel, link=link),
        "live": render_progress(Progress(2, message=text, state=text), tiles),
        "grid": render_grid(grid, pixel, link=link),
        "table": render_table([done, failed], [*LEADING, *TRAILING, own], pixel, link=link, heading=text, note=text),
        "plan": render_plan(asked, step=text, notes=[text]),
        "comparison": render_comparison([done, failed], pixel, link=link),
        "comparison of what is gone": render_comparison([done, bare], pixel),
        "comparison of what is new": render_comparison([bare, done], pixel),
    }
    pages = [(name, rendering["text/html"]) for name, rendering in renderings.items()]
    return [*pages, ("report", render_report([done, failed], pixel, title=text, rows=text, cols="model", facet=text))]


def evil(text: str, images: list[Image]) -> Run:
    made = run(text, images, model=text, template=text, slots={text: text}, params={text + "p": text})
    words = dict.fromkeys(("error", "error_code", "experiment", "tag", "note", "provider", "prediction_id"), text)
    return replace(made, id=text, **words)  # type: ignore[arg-type] - texts all


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_element_and_no_attribute_comes_from_data(attack: str) -> None:
    """Hostile text makes the very same elements with the very same attributes as harmless text of its length."""
    harmless = shapes("x" * len(attack))
    for (name, html), (_, plain) in zip(shapes(attack), harmless, strict=True):
        assert Markup.of(html).shape == Markup.of(plain).shape, name
        assert Markup.of(html).is_balanced, name


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_address_is_an_image_or_a_relative_file(attack: str) -> None:
    """No link and no source leads anywhere but to the thumbnail's data and the image's file."""
    for name, html in shapes(attack):
        page = Markup.of(html)
        assert all(source.startswith("data:image/") for source in page.attributes("src")), name
        assert all(re.fullmatch(r"runs/[^:]*", href) for href in page.attributes("href")), name


def test_text_for_a_terminal_cannot_command_it() -> None:
    """Escape sequences from a provider's message are shown, not obeyed."""
    attack = "\x1b[2J\x1b]0;owned\x07\x9b31m"
    done = evil(attack, [])
    shown = [
        render_run(done, pixel),
        render_sweep([done], pixel),
        render_progress(Progress(2, message=attack)),
        render_comparison([done, done], pixel),
        render_grid(Grid([Facet("", [GridRow(attack, [[done]])], [attack], attack, attack)]), pixel),
    ]
    for rendering in shown:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", rendering["text/plain"])
