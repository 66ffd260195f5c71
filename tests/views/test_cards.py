from __future__ import annotations

from pathlib import Path

import pytest
from markup import Markup
from sample_runs import PIXEL, image, pixel, run, unseen

from imagen_nb.errors import ImageError
from imagen_nb.records import Image, InputFile, Progress, Status
from imagen_nb.settings import SIMULATOR
from imagen_nb.views.cards import captions, render_gallery, render_image, render_run, render_sweep, summary_line
from imagen_nb.views.pictures import below
from imagen_nb.views.words import TIMES

HERE = Path("/home/me")


def test_a_card_tells_the_whole_story_of_a_run() -> None:
    """Image, prompt, model, parameters, state, seconds, cost and file are all there, in HTML and as text."""
    shown = render_run(
        run(images=[unseen()], params={"aspect_ratio": "4:3"}, experiment="animals"), pixel, link=below(HERE)
    )
    page = Markup.of(shown["text/html"])
    for text in (
        "a red fox in snow",
        "google/imagen-4",
        "aspect_ratio",
        "4:3",
        "succeeded",
        "10 s",
        "$0.04",
        "animals",
    ):
        assert text in page.text
        assert text == "animals" or text in shown["text/plain"] or f"{text}=" in shown["text/plain"]
    assert f"1024 {TIMES} 768 jpg, 165 kB" in page.text
    assert page.attributes("src") == [PIXEL]
    assert page.attributes("alt") == ["a red fox in snow"]
    assert all(href.startswith("imagen_runs/images/") for href in page.attributes("href"))


def test_a_picture_is_shown_at_half_its_thumbnails_pixels_at_most() -> None:
    """A 512-pixel thumbnail is shown within 288 CSS pixels, so that it is sharp on a dense screen."""
    for size in ((1024, 1024), (1408, 768), (768, 1408), (100, 50)):
        shown = Markup.of(render_run(run(images=[unseen(size=size)]), pixel)["text/html"])
        width, height = int(shown.attributes("width")[0]), int(shown.attributes("height")[0])
        assert max(width, height) <= 288
        assert width / height == pytest.approx(size[0] / size[1], rel=0.01)


def test_a_card_without_its_thumbnail_is_small() -> None:
    """What surrounds the image takes little of the notebook."""
    shown = render_run(run(images=[unseen()], params={"aspect_ratio": "4:3", "output_format": "jpg"}), pixel)
    assert len(shown["text/html"]) < 4_000


def test_a_blocked_run_says_why_and_what_to_do() -> None:
    """A refusal shows the provider's words and the next step in both forms."""
    shown = render_run(run(error="Flagged as sensitive. (E005)", error_code="blocked"), pixel)
    for text in (Markup.of(shown["text/html"]).text, shown["text/plain"]):
        assert "blocked" in text
        assert "Flagged as sensitive. (E005)" in text
        assert "reword the prompt" in text


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.SUCCEEDED])
def test_every_other_state_shows_as_a_card_too(status: Status) -> None:
    """A run in any state is shown, in words that a person uses, and the word None never is."""
    shown = render_run(run(status=status, cost=None, total_s=None), pixel)
    word = "waiting" if status is Status.INTENT else str(status)
    assert word in Markup.of(shown["text/html"]).text
    assert "None" not in shown["text/html"] + shown["text/plain"]


def test_a_simulated_run_says_so() -> None:
    """Nobody takes a simulated picture for a model's."""
    shown = render_run(run(images=[unseen()], provider=SIMULATOR), pixel)
    assert "simulated" in Markup.of(shown["text/html"]).text
    assert "simulated" in shown["text/plain"]
    assert "simulated" not in render_run(run(images=[unseen()]), pixel)["text/html"]


def test_a_long_prompt_is_cut_and_can_be_unfolded() -> None:
    """The card stays small; the whole prompt is one click away."""
    prompt = "a red fox in snow, " * 100
    shown = Markup.of(render_run(run(prompt, [unseen()]), pixel)["text/html"])
    assert "details" in shown.tags
    assert prompt.strip() in shown.text.replace("  ", " ")
    assert len(render_run(run(prompt), pixel)["text/plain"]) < 1_000


def test_a_file_outside_the_notebooks_folder_is_named_and_not_linked() -> None:
    """A link that no notebook can follow is not offered; the path is there to copy."""
    image = unseen()
    shown = Markup.of(render_run(run(images=[image]), pixel, link=below(Path("/elsewhere")))["text/html"])
    assert shown.attributes("href") == []
    assert str(image.path) in shown.text


def test_a_picture_is_named_by_what_it_shows_and_not_by_its_hash() -> None:
    """On its card and by itself: in the link to the file, in what a download is called, and in the large view."""
    (image,) = run(images=[unseen()]).images
    for shown in (
        render_run(run(images=[image]), pixel, link=below(HERE)),
        render_image(image, pixel, link=below(HERE)),
    ):
        page = Markup.of(shown["text/html"])
        (name,) = page.attributes("download")
        assert name.startswith("a-red-fox-in-snow")
        assert page.attributes("data-name") == [name]
        assert name in page.text


def test_names_with_odd_characters_make_sound_links() -> None:
    """Spaces, hashes and question marks in a folder's name are quoted."""
    image = Image(Path("/home/me/my runs #1?/images/ab/x.png"), "x", 1, 1, 1, "image/png")
    assert below(HERE)(image) == "my%20runs%20%231%3F/images/ab/x.png"


@pytest.mark.parametrize(
    ("href", "kept"),
    [
        ("imagen_runs/a.png", True),
        ("../a%20b.png", True),
        ("https://host/a.png", True),
        ("javascript:alert(1)", False),
        ("JAVASCRIPT:alert(1)", False),
        ("data:text/html,x", False),
        ("//host/a.png", False),
        ("http://host/a.png", False),
        ("file:///etc/passwd", False),
        ("java\nscript:alert(1)", False),
        ("https:///a.png", False),
        ("", False),
    ],
)
def test_only_relative_and_https_links_are_made(href: str, kept: bool) -> None:
    """An address with any other scheme never becomes a link."""
    shown = Markup.of(render_run(run(images=[unseen()]), pixel, link=lambda _image: href)["text/html"])
    assert bool(shown.attributes("href")) is kept


def test_a_missing_file_is_said_in_the_pictures_place() -> None:
    """A thumbnail that cannot be made leaves a note, not a broken image and not an error."""

    def gone(_image: Image) -> str:
        raise ImageError("the image file is missing")

    for thumb in (gone, lambda _image: "", lambda _image: "https://host/tracker.png"):
        shown = Markup.of(render_run(run(images=[unseen()]), thumb)["text/html"])
        assert "img" not in shown.tags
        assert "The image file is missing" in shown.text


def test_several_images_of_a_run_are_all_on_its_card() -> None:
    """A model that gives four images shows four, smaller."""
    shown = Markup.of(render_run(run(images=[unseen(seed) for seed in range(4)]), pixel)["text/html"])
    assert shown.tags.count("img") == 4
    assert max(int(width) for width in shown.attributes("width")) <= 168


def test_a_sweep_is_summed_up_in_one_line() -> None:
    """How many worked, how many did not and why, how long it took and what it cost."""
    done = [run(images=[unseen(n)], number=n) for n in range(3)]
    failed = [
        run(error="Flagged (E005) (abc)", error_code="blocked"),
        run(error="Flagged (E005) (xyz)", error_code="blocked"),
    ]
    shown = render_sweep([*done, *failed], pixel, progress=Progress(9, done=9, elapsed=48.2))
    assert shown["text/plain"].startswith("3 of 5 succeeded · 2 blocked · 48 s · $0.12")
    assert f"2 {TIMES} blocked: Flagged (E005)" in Markup.of(shown["text/html"]).text


def test_a_resumed_sweep_costs_what_it_added() -> None:
    """What the log had already is said apart, and neither its price nor its time is counted again."""
    done = [run(images=[unseen(n)], number=n) for n in range(3)]
    some = render_sweep(done, pixel, progress=Progress(3, done=3, succeeded=3, skipped=2, elapsed=9.0, cost=0.04))
    assert some["text/plain"].startswith("3 of 3 succeeded · 2 of them earlier · 9.0 s · $0.04\n")
    none = render_sweep(done, pixel, progress=Progress(3, done=3, succeeded=3, skipped=3, elapsed=0.1))
    assert none["text/plain"].startswith("3 of 3 succeeded · 3 of them earlier · 0.1 s · $0.00\n")


def test_a_large_sweep_shows_its_beginning_and_every_reason() -> None:
    """A thousand runs leave a bounded notebook, and no failure is without its reason."""
    many = [run(images=[unseen(n)], number=n) for n in range(999)] + [run(error="out of paint")]
    shown = render_sweep(many, pixel)
    page = Markup.of(shown["text/html"])
    assert page.tags.count("img") == 48
    assert "The first 48 of 1,000 runs" in page.text
    assert "failed: out of paint" in page.text
    assert len(shown["text/html"]) < 80_000


def test_captions_say_what_tells_runs_apart() -> None:
    """Slots and parameters that vary, else prompts, else the number of the repeat."""
    by_slot = [run(f"a {a}", slots={"animal": a}, params={"steps": 4}) for a in ("fox", "owl")]
    assert captions(by_slot) == ["fox", "owl"]
    assert captions([run("a fox"), run("an owl")]) == ["a fox", "an owl"]
    assert captions([run(repeat=1), run(repeat=2)]) == ["no. 1", "no. 2"]
    repeated = [run("a fox", slots={"animal": "fox"}, repeat=n) for n in (1, 2)] + [run("a", slots={"animal": "owl"})]
    assert captions(repeated) == ["fox · no. 1", "fox · no. 2", "owl"]


def test_runs_of_one_setting_and_different_prompts_are_captioned_by_the_prompt() -> None:
    """A prompt stands where the settings do not tell two runs apart, however many settings vary elsewhere."""
    ratios = ("1:1", "1:1", "16:9", "4:3")
    several = [run(f"prompt {n}", params={"aspect_ratio": ratio}) for n, ratio in enumerate(ratios)]
    assert captions(several) == ["prompt 0 · 1:1", "prompt 1 · 1:1", "16:9", "4:3"]
    mixed = [run("a fox", slots={"animal": "fox"}), run("a owl", slots={"animal": "owl"}), run("plain")]
    assert captions(mixed) == ["fox", "owl", "plain"]


def test_no_two_captions_are_the_same() -> None:
    """What is still alike is counted: by the repeats' own numbers where they differ, else from 1 on."""
    assert captions([run(repeat=2), run(repeat=5)]) == ["no. 2", "no. 5"]
    assert captions([run(), run(), run("b")]) == [
        "a red fox in snow · no. 1",
        "a red fox in snow · no. 2",
        "b",
    ]
    long = [run("x" * 80 + end) for end in "ab"]
    assert [text[-5:] for text in captions(long)] == ["no. 1", "no. 2"]


def test_long_texts_make_no_long_tiles() -> None:
    """Values in a caption and a reason are cut short with an ellipsis, on hovering over it too."""
    runs = [run(slots={"style": f"{n} " + "long words " * 500}, error="no paint " * 5_000) for n in range(2)]
    assert all(len(text) <= 60 and text.endswith("…") for text in captions(runs))
    shown = render_gallery(runs, pixel)["text/html"]
    assert len(shown) < 6_000
    assert all(len(title) <= 400 for title in Markup.of(shown).attributes("title"))
    assert "no paint no…" in Markup.of(shown).text


def test_a_sweep_of_nothing_says_so() -> None:
    """reconcile() with no row open is no failure of none of none."""
    assert summary_line([], Progress(0, state="ended")) == "Nothing was to be done."


def test_an_empty_gallery_is_no_error() -> None:
    """Nothing to show shows nothing."""
    assert render_gallery([], pixel, heading="No runs in this frame.")["text/plain"] == "No runs in this frame."
    assert render_sweep([], pixel)["text/plain"] == "0 of 0 succeeded"


def test_what_a_model_wrote_is_all_there() -> None:
    """Text is the answer of a run without images: whole, escaped, and no failure; its tile shows the beginning."""
    answered = run(status=Status.SUCCEEDED, text="The <left> one.\n" * 100)
    shown = render_run(answered, pixel)
    page = Markup.of(shown["text/html"])
    assert ("The <left> one. " * 100).strip() in page.text
    assert "without an image" not in page.text
    assert "The <left> one." in shown["text/plain"]
    assert "The <left> one. The <left> one." in Markup.of(render_gallery([answered], pixel)["text/html"]).text


def test_the_pictures_that_a_request_needs_are_on_its_card(tmp_path: Path) -> None:
    """Each stands small under the name of its input and opens in the large view; what is no picture is a name alone."""
    made = image(tmp_path, 1)
    fox = InputFile(made.sha256, "fox.png", made.path, made.bytes, made.mime, 64, 48)
    sheet = InputFile("5" * 64, "notes.txt", tmp_path / "notes.txt", 9, "text/plain")
    shown = render_run(run(images=[unseen()], params={"images": [fox], "notes": sheet}), pixel, link=below(tmp_path))
    page = Markup.of(shown["text/html"])
    assert page.attributes("alt") == ["a red fox in snow", "images: fox.png"]
    assert page.attributes("data-name") == ["fox.png"]
    assert str(sheet) in page.text
