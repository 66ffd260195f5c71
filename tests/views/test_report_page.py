from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import datetime, timezone
from pathlib import Path

from markup import Markup
from sample_runs import PIXEL, image, pixel, run, unseen

from imagen_nb.records import Image, InputFile, Status
from imagen_nb.settings import SIMULATOR
from imagen_nb.views.pages import asset
from imagen_nb.views.report_page import render_report

RUNS = [
    run(f"a {animal} in {style}", [unseen(n)], number=n, slots={"animal": animal, "style": style}, params={"steps": 4})
    for n, (animal, style) in enumerate([("fox", "oil"), ("fox", "ink"), ("owl", "oil")])
]
BLOCKED = run("an owl in ink", error="Flagged. (E005)", error_code="blocked", slots={"animal": "owl", "style": "ink"})


def report(**more: object) -> str:
    return render_report([*RUNS, BLOCKED], pixel, title="animals", rows="style", cols="animal", **more)  # type: ignore[arg-type] - options


def test_a_report_is_one_page_that_asks_for_nothing() -> None:
    """No address in it leads out: images, style and script are inside."""
    page = Markup.of(report())
    assert page.is_balanced
    assert page.attributes("href") == []
    assert all(source.startswith("data:") for source in page.attributes("src"))
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert not re.search(r"https?://|@import|url\(", report())


def test_only_its_own_script_and_style_may_run() -> None:
    """The page's policy names exactly the script and the style in it, by their hashes, and forbids all else."""
    text = report()
    policy = next(attrs["content"] for _, attrs in Markup.of(text).elements if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        inside = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inside is not None
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_run_is_there_as_a_card_and_as_a_row() -> None:
    """Gallery and table are complete without any script."""
    page = Markup.of(report())
    cards = [json.loads(text) for text in page.attributes("data-run")]
    assert [card["prompt"] for card in cards] == [each.request.prompt for each in [*RUNS, BLOCKED]]
    assert cards[0]["axes"] == {
        "prompt": "a fox in oil",
        "template": "a fox in oil",
        "model": "google/imagen-4",
        "animal": "fox",
        "style": "oil",
        "steps": "4",
    }
    assert page.attributes("data-key") == [card["key"] for card in cards]
    for text in (
        "3 of 4 succeeded · 1 blocked · $0.12",
        "blocked: Flagged. (E005)",
        "In every run: model=google/imagen-4",
    ):
        assert text in page.text
    assert [attrs["alt"] for tag, attrs in page.elements if tag == "img" and attrs["alt"]] == [
        r.request.prompt for r in RUNS
    ]


def test_pictures_have_the_names_of_what_varies() -> None:
    """The large view can say which picture it is, and a copy of it is called so."""
    assert Markup.of(report()).attributes("data-name") == ["fox_oil.jpg", "fox_ink.jpg", "owl_oil.jpg"]


def test_experiments_that_are_mixed_are_an_axis() -> None:
    """A reader can part them, and a run without one has none."""
    mixed = [run("a", experiment="one"), run("b", experiment="two"), run("c")]
    page = Markup.of(render_report(mixed, pixel, title="x", facet="experiment"))
    told = [json.loads(text)["axes"].get("experiment") for text in page.attributes("data-run")]
    assert told == ["one", "two", None]
    assert page.attributes("value").count("experiment") == 3
    assert "experiment" not in Markup.of(report()).attributes("value")


def test_what_a_model_wrote_and_was_given_is_in_a_report(tmp_path: Path) -> None:
    """Text is there whole and found by the search; pictures that went in stand beside what came out."""
    made = image(tmp_path, 1)
    fox = InputFile(made.sha256, "fox.png", made.path, made.bytes, made.mime, 64, 48)
    page = Markup.of(
        render_report([run(status=Status.SUCCEEDED, text="The <left> one.", params={"image": fox})], pixel, title="x")
    )
    assert "The <left> one." in page.text
    assert "the <left> one." in json.loads(page.attributes("data-run")[0])["text"]
    assert "image: fox.png" in page.attributes("alt")


def test_each_image_is_inside_once() -> None:
    """Other views show the same bytes again, so the file is no larger than its pictures."""
    assert report().count(PIXEL) == len(RUNS)


def test_columns_without_a_value_are_left_out() -> None:
    """The table has the columns that say something, and no more."""
    text = report()
    names = re.findall(r'class="sort">([^<]*)<', text)
    assert names == ["prompt", "animal", "style", "steps", "status", "reason", "seconds", "cost", "created", "run"]


def test_the_page_opens_on_its_grid_and_knows_its_axes() -> None:
    """The selects have every setting, with the asked ones chosen."""
    chosen = [attrs["value"] for tag, attrs in Markup.of(report()).elements if tag == "option" and "selected" in attrs]
    assert chosen == ["style", "animal"]
    assert Markup.of(report()).attributes("data-view") == ["grid"]
    assert Markup.of(render_report(RUNS, pixel, title="x")).attributes("data-view") == ["gallery"]


def test_no_path_of_this_machine_is_in_a_report() -> None:
    """A report can be given away: it names no folder."""
    assert str(unseen(0).path.parent) not in report()


def test_a_missing_picture_is_said() -> None:
    """A run whose file is gone stays in the report."""

    def gone(_image: Image) -> str:
        raise FileNotFoundError

    page = Markup.of(render_report(RUNS[:1], gone, title="x"))
    assert "The picture is not in this report." in page.text


def test_the_foot_says_when_and_what_is_simulated() -> None:
    """Whoever gets the file learns how old it is and that a simulator painted it."""
    made = render_report(
        [run(images=[unseen()], provider=SIMULATOR)],
        pixel,
        title="x",
        made_at=datetime(2025, 3, 1, tzinfo=timezone.utc),
        note="part",
    )
    assert "1 run · 1 of them simulated · made 2025-03-01 00:00 UTC · part" in Markup.of(made).text


def test_the_reason_for_the_grid_is_short_and_without_its_ticket() -> None:
    """Refusals that differ in their ticket alone are alike, and a long error is in the page's data only in part."""
    refused = [run(error=f"Flagged. (E005) ({ticket})", error_code="blocked") for ticket in ("abc", "def")]
    page = Markup.of(render_report([*refused, run(error="no paint " * 5_000), RUNS[0]], pixel, title="x"))
    told = [json.loads(text) for text in page.attributes("data-run")]
    assert [(each.get("reason", "")[:15], each.get("tone")) for each in told] == [
        ("Flagged. (E005)", "warn"),
        ("Flagged. (E005)", "warn"),
        ("no paint no pai", "bad"),
        ("", None),
    ]
    assert len(told[2]["reason"]) <= 400


def test_an_empty_report_is_no_error() -> None:
    """Nothing to report is a page that says so."""
    text = Markup.of(render_report([], pixel, title="x")).text
    assert "No runs in this frame." in text
    assert "0 of 0" not in text


def test_assets_end_no_element_early() -> None:
    """The script and the style can stand inside a page, whatever they say."""
    assert "</" not in asset("report.js").replace("</script", "")
    assert "</style" not in asset("report.css")
    assert "{%" not in asset("report.js") + asset("report.css")
