"""The panel and the log: earlier runs looked through, rated, compared, loaded back and copied as cells."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import sqlalchemy as sa
from controls import beside, control, fill, generate, history, labels, of_kind, text, until
from hypothesis import given
from hypothesis import strategies as st

from imagen_nb.errors import LogError
from imagen_nb.log.schema import runs
from imagen_nb.notebook.panel.form import make_field
from imagen_nb.notebook.panel.form_plan import FormValues, other_inputs_text, plan_form
from imagen_nb.planning.inputs import ParamSpec
from imagen_nb.records import Request
from imagen_nb.simulator import Simulator
from imagen_nb.workspace import Workspace

# ipywidgets 8.1.0, the lowest supported, calls traitlets in a way that is deprecated meanwhile
pytestmark = pytest.mark.filterwarnings("ignore:Deprecated in traitlets 4.1:DeprecationWarning")


def is_done(workspace: Workspace, count: int) -> Callable[[], bool]:
    return lambda: sum(run.status.is_terminal for run in workspace.log.runs()) == count


def logged(workspace: Workspace, count: int) -> None:
    """So many rows in the log, without images."""
    requests = [Request("google/imagen-4", {"prompt": f"fox {n}"}, f"fox {n}") for n in range(count)]
    half = count // 2
    for part, name in ((requests[:half], "early"), (requests[half:], "late")):
        workspace.log.intend(part, provider="simulator", experiment=name)
    with workspace.log.writing() as conn:  # in one go: a thousand ends would be a thousand commits
        conn.execute(sa.update(runs).values(status="failed", error="for the test", owner=None))


def test_history_comes_in_pages_and_is_filtered(opened: Any, workspace: Workspace) -> None:
    """The newest page first; older ones, one experiment, or prompts with a word, on request."""
    logged(workspace, 60)
    shown = opened()
    until(lambda: len(history(shown).items) == 24)
    assert history(shown).items[0]["alt"] == "fox 59"
    assert "1 to 24 of 60" in text(shown)
    control(shown, "Older").click()
    until(lambda: history(shown).items[0]["alt"] == "fox 35")
    control(shown, "Newer").click()
    until(lambda: history(shown).items[0]["alt"] == "fox 59")
    fill(shown, In_experiment="early")
    until(lambda: "1 to 24 of 30" in text(shown))
    fill(shown, Find="fox 1")
    until(lambda: "1 to 11 of 11" in text(shown))
    fill(shown, Find="wolf")
    until(lambda: not history(shown).items)
    assert history(shown).empty == "No run fits."


def test_thousand_runs_do_not_make_it_slow(opened: Any, workspace: Workspace) -> None:
    """The panel is there before the log was read; the first page follows."""
    logged(workspace, 1000)
    began = time.thread_time()
    shown = opened()
    shown._repr_mimebundle_()
    assert time.thread_time() - began < 0.3
    until(lambda: len(history(shown).items) == 24)
    assert "of 1,000" in text(shown)


def test_picked_run_is_loaded_back(opened: Any, workspace: Workspace) -> None:
    """Its prompt, model and parameters fill the form, so that Generate makes the same request again."""
    plan = workspace.plan("a {{literal}} {fox|owl}", model="black-forest-labs/flux-schnell", seed=7, go_fast=False)
    first = workspace.run(plan)[0]
    shown = opened()
    until(lambda: history(shown).items)
    fill(shown, Vary="aspect_ratio=1:1|16:9")
    history(shown).picked = [first.id]
    until(lambda: "Load into form" in labels(shown))
    control(shown, "Load").click()
    assert control(shown, "Prompt").value == "a {{literal}} fox"
    control(shown, "Generate").click()
    until(is_done(workspace, 3))
    again = workspace.log.runs()[-1].request
    assert (again.model, again.input) == (first.request.model, first.request.input)


AWKWARD = {
    "flag": True,
    "off": False,
    "tags": ["a; b", "c"],
    "shape": {"w": 3, "note": 'a "b"; c'},
    "text": "3",
    "spelled": "[1, 2]",
    "style": "red; blue",
    "lines": "one\ntwo",
    "spaced": " oil ",
    "quoted": 'say "hi"',
    "opened": '"unclosed',
    "bracket": "[draft] of a fox",
    "json_text": '"a; b"',
    "empty": "",
    "steps": 4,
    "scale": 2.5,
}


def test_other_inputs_come_back_as_they_were(opened: Any, workspace: Workspace) -> None:
    """Loaded into the form, the inputs of a model that nobody described are sent again unchanged, each as its type."""
    plan = workspace.plan("a fox", model="somebody/unheard-of", params={**AWKWARD, "tags": [AWKWARD["tags"]]})
    assert dict(plan[0].params) == AWKWARD
    (first,) = workspace.log.intend(plan, provider="simulator")
    workspace.log.settle(first, "failed", error="for the test")
    shown = opened()
    until(lambda: history(shown).items)
    history(shown).picked = [first]
    until(lambda: "Load into form" in labels(shown))
    control(shown, "Load").click()
    until(lambda: not control(shown, "Generate").disabled)
    control(shown, "Generate").click()
    until(is_done(workspace, 2))
    assert workspace.log.runs()[-1].request.params == AWKWARD


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace for all examples of a test, whose provider is asked once."""
    home = tmp_path_factory.mktemp("lasting") / "imagen_runs"
    with Simulator(latency=0.0) as simulator, Workspace(home, provider=simulator.base_url) as opened:
        yield opened


NAMES = ["one", "data-type", 'x; y="1"', "-n 500 --yes"]


@given(values=st.dictionaries(st.sampled_from(NAMES), st.text(" ;'\"[]{}\\=\n\r|a3,:", min_size=1)))
def test_any_text_can_be_another_input(lasting: Workspace, values: dict[str, str]) -> None:
    """Whatever marks a text or a name has, it is read from the form's line as it was written there."""
    made = plan_form(FormValues("a fox", "somebody/unheard-of", others=other_inputs_text(values)), lasting)
    assert made.plan is not None, made.problems
    assert dict(made.plan[0].params) == values


def test_a_bar_within_what_varies(lasting: Workspace) -> None:
    """In the prompt and in the box for what varies, a bar may belong to a value as it does in a cell."""
    vary = r"""look=oil\|ink|pen; light="a|b"|(dusk|dawn)"""
    made = plan_form(FormValues(r"a {red\|blue|[x|y]} fox in {look}", "somebody/unheard-of", vary=vary), lasting)
    assert made.plan is not None, made.problems
    assert {axis.name: list(axis.values) for axis in made.plan.axes} == {
        "slot_1": ["red|blue", "[x|y]"],
        "look": ["oil|ink", "pen"],
        "light": ["a|b", "(dusk|dawn)"],
    }


def file_drop(shown: Any) -> Any:
    (found,) = of_kind(shown, "FileDrop")
    return found


def test_files_come_by_path_by_drop_and_from_a_run(opened: Any, workspace: Workspace, tmp_path: Path) -> None:
    """Each way names the file in the control, several stand side by side, and the row has them with what made them."""
    first = workspace.generate("a fox")
    workspace.generate("an owl")
    (tmp_path / "sketch.png").write_bytes(picture("green"))
    shown = opened()
    until(lambda: len(history(shown).items) == 2)
    fill(shown, Prompt="a fox like these", Model="google/nano-banana", Image_input=str(tmp_path / "sketch.png"))
    whole = picture("blue")
    for start in range(0, len(whole), 100):
        part = {"kind": "part", "name": "photo.png", "start": start, "size": len(whole)}
        file_drop(shown)._handle_custom_msg(part, [whole[start : start + 100]])
    history(shown).picked = [first.id]
    file_drop(shown)._handle_custom_msg({"kind": "pick"}, [])
    assert "photo.png" in control(shown, "Image input").value
    assert beside(shown, "Image input") == ""
    control(shown, "Generate").click()
    until(is_done(workspace, 3))
    run = workspace.log.runs()[-1]
    assert [file.sha256 for file in run.request.files["image_input"]] == [
        *(hashlib.sha256(each).hexdigest() for each in (picture("green"), whole)),
        first.images[0].sha256,
    ]
    assert run.parent == first.id
    history(shown).picked = [run.id]
    until(lambda: run.id in text(shown))
    fill(shown, Model="google/imagen-4")
    control(shown, "Load into form").click()
    assert control(shown, "Image input").value.count(";") == 2
    control(shown, "Generate").click()
    until(is_done(workspace, 4))
    assert workspace.log.runs()[-1].request.files == run.request.files


@pytest.mark.parametrize(
    ("value", "says"), [("nowhere.png", "nowhere.png"), ("a.png; b.png", "a.png"), (".", "folder")]
)
def test_file_that_cannot_be_had_is_said_beside_its_control(opened: Any, value: str, says: str) -> None:
    """Nothing can be sent with it; where no run is picked there is none to take, and nothing else is changed."""
    shown = opened()
    fill(shown, Prompt="a fox", Model="black-forest-labs/flux-kontext-pro")
    file_drop(shown)._handle_custom_msg({"kind": "pick"}, [])
    assert "No run is picked" in text(shown)
    assert control(shown, "Input image").value == ""
    assert not control(shown, "Generate").disabled
    fill(shown, Input_image=value)
    assert says in beside(shown, "Input image")
    assert control(shown, "Generate").disabled


def picture(colour: str) -> bytes:
    """A small PNG."""
    file = io.BytesIO()
    PIL.Image.new("RGB", (48, 32), colour).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("value", ["3", '"3"', "a", "oil; ink", "true"])
def test_text_input_comes_back_as_text(value: str) -> None:
    """A text that spells a number or the like stays text in its control."""
    for kind in ("string", "any"):
        field = make_field(ParamSpec("style", kind))
        field.put(value)
        assert field.read() == value


def test_loading_a_run_of_the_same_model_leaves_the_controls_in_place(opened: Any, workspace: Workspace) -> None:
    """Controls made anew would make the page jump under the mouse."""
    first = workspace.generate("a fox", aspect_ratio="16:9")
    shown = opened()
    shape = control(shown, "Aspect ratio")
    history(shown).picked = [first.id]
    until(lambda: "Load into form" in labels(shown))
    control(shown, "Load").click()
    assert control(shown, "Prompt").value == "a fox"
    assert control(shown, "Aspect ratio") is shape
    assert shape.value == "16:9"


def test_rating_set_while_the_log_is_read_stays(
    opened: Any, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the log said before is not shown in place of what was just set, so that the next change counts too."""
    run = workspace.generate("a fox")
    workspace.rate(run.id, 4, "so far")
    shown = opened()
    until(lambda: history(shown).items)
    history(shown).picked = [run.id]
    until(lambda: "Rating" in labels(shown) and control(shown, "Rating").value == 4)
    has_read, may_go_on = threading.Event(), threading.Semaphore(0)
    read = workspace.log.runs

    def slow(**filters: Any) -> Any:
        found = read(**filters)
        if filters.get("ids"):
            has_read.set()
            assert may_go_on.acquire(timeout=30)
        return found

    monkeypatch.setattr(workspace.log, "runs", slow)
    fill(shown, Rating=0)
    assert has_read.wait(30)  # "not rated" is written, and read back
    fill(shown, Rating=3, Note="after all")
    has_read.clear()
    may_go_on.release()
    assert has_read.wait(30)  # what was read is on show; 3 is written, and read back
    assert (control(shown, "Rating").value, control(shown, "Note").value) == (3, "after all")
    fill(shown, Rating=0)
    monkeypatch.undo()
    may_go_on.release(100)
    until(lambda: workspace.log.get(run.id).rating is None)
    assert workspace.log.get(run.id).note == "after all"
    assert control(shown, "Rating").value == 0


def test_rating_that_cannot_be_written_is_not_shown(
    opened: Any, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log takes no rating the panel says so, and shows what the log has."""
    run = workspace.generate("a fox")
    shown = opened()
    until(lambda: history(shown).items)
    history(shown).picked = [run.id]
    until(lambda: "Rating" in labels(shown))

    def full(*_: Any, **__: Any) -> None:
        raise LogError("the disk is full")

    monkeypatch.setattr(workspace.log, "rate", full)
    fill(shown, Rating=5)
    until(lambda: "the disk is full" in text(shown))
    until(lambda: control(shown, "Rating").value == 0)


def test_picked_run_is_rated_and_noted(opened: Any, workspace: Workspace) -> None:
    """A rating and a note are written to the log at once, and shown in every panel."""
    run = workspace.generate("a fox")
    shown = opened()
    until(lambda: history(shown).items)
    history(shown).picked = [run.id]
    until(lambda: "Rating" in labels(shown))
    fill(shown, Rating=4)
    fill(shown, Note="the best so far")
    until(lambda: workspace.log.get(run.id).note)
    assert (workspace.log.get(run.id).rating, workspace.log.get(run.id).note) == (4, "the best so far")
    until(lambda: history(shown).items[0]["rating"] == 4)
    fill(shown, Rating=0)
    until(lambda: workspace.log.get(run.id).rating is None)
    for stars in (5, 0, 3):  # quicker than the panel hears of it
        fill(shown, Rating=stars)
    until(lambda: workspace.log.get(run.id).rating == 3)
    fill(shown, Rating=0)
    until(lambda: workspace.log.get(run.id).rating is None)


def test_picked_run_can_be_copied_as_a_cell(opened: Any, workspace: Workspace) -> None:
    """The button has the text of the cell that makes the same request again."""
    run = workspace.generate("a fox", aspect_ratio="16:9", experiment="foxes", tag="snow")
    shown = opened()
    until(lambda: history(shown).items)
    history(shown).picked = [run.id]
    (button,) = until(lambda: of_kind(shown, "CopyButton"))
    assert until(lambda: button.text) == run.cell()
    assert all(option in button.text for option in ("16:9", "foxes", "snow"))


def test_two_picked_runs_are_compared(opened: Any, workspace: Workspace) -> None:
    """A slider between their images, the words and the settings that differ."""
    runs = workspace.run(workspace.plan("a {red|blue} fox", aspect_ratio="16:9"))
    shown = opened()
    until(lambda: history(shown).items)
    history(shown).picked = [runs[0].id]
    until(lambda: "Compare with…" in labels(shown))
    control(shown, "Compare").click()
    until(lambda: history(shown).adding)
    history(shown).picked = [run.id for run in runs]
    until(lambda: "slot_1 red blue" in text(shown))
    (compared,) = [each for each in of_kind(shown, "HTML") if "imagen-nb-slide" in each.value]
    assert compared.value.count("data:image/webp") == 2
    assert not history(shown).adding
    control(shown, "Close").click()
    until(lambda: "imagen-nb-slide" not in compared.value)


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Asks a widget as its page does, and gives what it answers: content and buffers."""

    def ask(widget: Any, **content: Any) -> Any:
        sent: list[Any] = []
        monkeypatch.setattr(widget, "send", lambda content, buffers=None: sent.append((content, buffers)))
        widget._handle_custom_msg(content, [])
        return until(lambda: [each for each in sent if each[0]["kind"] != "small"])[0]

    return ask


def test_large_view_goes_through_all_that_match(opened: Any, workspace: Workspace, asking: Callable[..., Any]) -> None:
    """It knows every run that the filters let through, whatever page is on show, and what each was made with."""
    logged(workspace, 60)
    workspace.generate("a fox", aspect_ratio="16:9", experiment="early", tag="dawn")
    shown = opened()
    until(lambda: "early" in [value for _, value in control(shown, "In experiment").options])
    fill(shown, In_experiment="early")
    strip = until(lambda: history(shown) if "of 31" in text(shown) else None)
    order = asking(strip, kind="order")[0]["runs"]
    assert order == [run.id for run in reversed(workspace.log.runs(experiment="early"))]
    (slide,), (other,) = asking(strip, kind="slides", runs=[order[0], order[-1]])[0]["slides"]
    assert dict(slide["facts"])["aspect_ratio"] == "16:9"
    assert (dict(slide["facts"])["tag"], slide["file"][-4:]) == ("dawn", ".jpg")
    assert (other["prompt"], other["picture"], other["why"]) == ("fox 0", None, "for the test")
    content, (picture,) = asking(strip, kind="large", run=order[0], number=0)
    assert content == {"kind": "large", "keys": [slide["picture"]]}
    assert len(picture) > len(until(lambda: strip.thumbs.get(slide["picture"])))
    assert "has no run 'nothing'" in asking(strip, kind="large", run="nothing", number=0)[0]["text"]


def test_original_comes_whole(
    opened: Any, workspace: Workspace, asking: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's own bytes come in parts, as large as a server lets through; of one that is gone comes nothing."""
    monkeypatch.setattr("imagen_nb.notebook.widgets.PART_BYTES", 4000)
    run = workspace.generate("a fox")
    strip = history(opened())
    whole, size = b"", 1
    while len(whole) < size:
        told, (part,) = asking(strip, kind="part", run=run.id, number=0, start=len(whole))
        size, whole = told["size"], whole + part
        assert 0 < len(part) <= 4000
    assert (whole, told["mime"]) == (run.images[0].path.read_bytes(), "image/jpeg")
    run.images[0].path.unlink()
    assert asking(strip, kind="part", run=run.id, number=0, start=0)[0]["size"] == 0


def test_marks_of_the_large_view_are_written(opened: Any, workspace: Workspace, asking: Callable[..., Any]) -> None:
    """A rating, a note and a favourite are in the log at once, and on the tile and in the drawer soon."""
    run = workspace.generate("a fox")
    shown = opened()
    until(lambda: history(shown).items)
    history(shown).picked = [run.id]
    ((slide,),) = asking(history(shown), kind="rate", run=run.id, marks={"rating": 4, "note": "so", "favourite": True})[
        0
    ]["slides"]
    assert (slide["rating"], slide["note"], slide["favourite"]) == (4, "so", True)
    logged = workspace.log.get(run.id)
    assert (logged.rating, logged.note, logged.favourite) == (4, "so", True)
    until(lambda: history(shown).items[0]["rating"] == 4)
    until(lambda: control(shown, "Favourite").value if "Favourite" in labels(shown) else False)
    fill(shown, Favourites_only=True)
    until(lambda: "1 to 1 of 1" in text(shown))
    asking(history(shown), kind="rate", run=run.id, marks={"rating": 0, "favourite": False})
    assert workspace.log.get(run.id).rating is None
    until(lambda: history(shown).empty == "No run fits.")


@pytest.mark.parametrize(
    ("filters", "fitting"),
    [
        ({"Find": "owl"}, ["owl"]),
        ({"In_experiment": "birds"}, ["owl"]),
        ({"Of_model": "google/imagen-4-fast"}, ["fast fox"]),
        ({"With_tag": "snow"}, ["red fox"]),
        ({"Status_is": "failed"}, ["[fail] fox"]),
        ({"Status_is": "blocked"}, []),
        ({"Rated": 3}, ["owl"]),
        ({"Rated": 0, "Status_is": "succeeded"}, ["fast fox", "red fox"]),
    ],
)
def test_earlier_runs_are_filtered(
    opened: Any, looked_through: Workspace, filters: dict[str, Any], fitting: list[str]
) -> None:
    """By text, experiment, model, tag, status and rating, each alone and together."""
    shown = opened(looked_through)
    until(lambda: "1 to 4 of 4" in text(shown))
    fill(shown, **filters)
    until(lambda: [item["alt"] for item in history(shown).items] == fitting)


@pytest.fixture(scope="module")
def looked_through(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A log in which each filter finds something else."""
    home = tmp_path_factory.mktemp("looked") / "imagen_runs"
    with Simulator(latency=0.0) as simulator, Workspace(home, provider=simulator.base_url) as workspace:
        workspace.generate("red fox", tag="snow")
        workspace.rate(workspace.generate("owl", experiment="birds").id, 4)
        workspace.generate("fast fox", model="google/imagen-4-fast")
        workspace.generate("[fail] fox")
        yield workspace


def test_what_a_model_wrote_is_shown(opened: Any, workspace: Workspace, asking: Callable[..., Any]) -> None:
    """An answer in words stands where a picture would: on the card, the tile, in the drawer and the large view."""
    shown = opened()
    fill(shown, Model="google/gemini-2.5-flash")
    generate(shown, "what is a fox?")
    until(is_done(workspace, 1))
    (run,) = workspace.log.runs()
    assert run.text
    until(lambda: history(shown).items and history(shown).items[0]["word"] == "succeeded")
    galleries = of_kind(shown, "Gallery")
    assert len(galleries) == 2
    assert all(run.text[:40] in gallery.items[0]["why"] for gallery in galleries)
    history(shown).picked = [run.id]
    until(lambda: run.text[:40] in text(shown))
    assert asking(history(shown), kind="slides", runs=[run.id])[0]["slides"][0][0]["text"] == run.text


def test_run_is_sent_again_and_varied(opened: Any, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again sends the same request into the same experiment; Vary and Load take one to the form that they filled."""
    run = workspace.generate("a {red} fox", red="crimson", aspect_ratio="16:9", experiment="foxes", tag="snow")
    shown = opened()
    until(lambda: history(shown).items)
    history(shown).picked = [run.id]
    until(lambda: "Again, about $0.04" in labels(shown))
    control(shown, "Again").click()
    assert "Sent once more" in text(shown)
    until(is_done(workspace, 2))
    again = workspace.log.runs()[-1]
    assert (again.request.input, again.experiment, again.tag) == (run.request.input, "foxes", "snow")
    (guard,) = [each for each in shown.children if type(each).__name__ == "Guard"]
    shows: list[Any] = []
    monkeypatch.setattr(guard, "send", lambda content: shows.append(content["show"]))
    next(each for each in of_kind(shown, "Button") if each.description == "Vary").click()
    control(shown, "Load into form").click()
    assert shows == ["vary", "prompt"]
    assert control(shown, "Prompt").value == "a crimson fox"


def test_file_that_is_gone_leaves_a_tile(opened: Any, workspace: Workspace) -> None:
    """An image whose file was deleted is said to be missing; the rest is shown."""
    run = workspace.generate("a fox")
    run.images[0].path.unlink()
    shown = opened()
    strip = until(lambda: history(shown) if history(shown).thumbs else None)
    assert list(strip.thumbs.values()) == [b""]


def test_log_that_is_gone_is_shown_no_more(opened: Any, workspace: Workspace) -> None:
    """Where the log is gone the panel shows none of its rows, and says what to do."""
    workspace.generate("a fox")
    shown = opened()
    until(lambda: history(shown).thumbs)
    workspace.home.rename(workspace.home.with_name("elsewhere"))
    until(lambda: not history(shown).items)
    until(lambda: "Run the panel's cell again" in text(shown))
    assert "of 1" not in text(shown)
    fill(shown, Prompt="a fox")
    assert control(shown, "Generate").disabled
    workspace.home.with_name("elsewhere").rename(workspace.home)
    until(lambda: not control(shown, "Generate").disabled)
