"""The package's own verbs, as a script uses them: on the default workspace, in this process, with the simulator."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image as Pillow

import imagen_nb as im
from imagen_nb.errors import ImageError, InputError
from imagen_nb.shared import default_workspace
from imagen_nb.simulator import Simulator
from imagen_nb.workspace import Workspace

BLOCKED = "a [blocked] fox"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> Path:
    """An empty working folder, and a simulator that answers at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEN_NB_PROVIDER", simulator.base_url)
    return tmp_path


def test_generate_takes_the_prompt_by_name() -> None:
    """`generate(prompt=...)` is `generate(...)`."""
    assert im.generate(prompt="a fox", aspect_ratio="16:9").request.params == {"aspect_ratio": "16:9"}


def test_run_plans_a_template_first() -> None:
    """A template, a list and a table are planned with the keywords of plan(), and run with those of run()."""
    runs = im.run("a {red|blue} {animal}", animal="fox", repeat=2, experiment="foxes", tag="t")
    assert [run.request.prompt for run in runs] == ["a red fox", "a red fox", "a blue fox", "a blue fox"]
    assert {(run.experiment, run.tag) for run in runs} == {("foxes", "t")}
    assert len(im.run(["a fox", "an owl"])) == 2
    assert len(im.run(pd.DataFrame({"prompt": ["a cat", "an elk"]}), aspect_ratio="1:1", budget=1.0)) == 2
    assert len(im.run(im.plan("a hen"))) == 1


def test_run_in_the_background_returns_at_once_and_fills_in() -> None:
    """`background=True` gives runs that are not there yet, and wait() brings them."""
    runs = im.run("a {red|blue} fox", background=True)
    assert len(runs) <= 2
    assert [run.status for run in runs.wait()] == ["succeeded", "succeeded"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"repeat": 2}, "repeat comes too late for it\nGive it to plan()"),
        ({"model": "a/b"}, "model comes too late for it\nGive it to plan()"),
        ({"experimnt": "x"}, "experimnt comes too late for it\nDid you mean experiment?"),
        ({"background": "transparent"}, "background cannot be 'transparent'.*\n.*params="),
    ],
)
def test_what_a_plan_cannot_take_is_said(names: dict[str, object], words: str) -> None:
    """A keyword of plan() beside a plan, one of nobody's, and an input called like ours get two lines."""
    made = im.plan("a fox")
    with pytest.raises(InputError, match=words):
        im.run(made, **names)  # type: ignore[arg-type]
    assert not (Path.cwd() / "imagen_runs").exists()


def test_what_one_image_cannot_be_is_said() -> None:
    """Several requests are for run(), and Replicate's call gets the right one."""
    with pytest.raises(InputError, match=r"this is a plan of 2\n.*run\(\)"):
        im.generate("a fox", repeat=2)
    with pytest.raises(InputError, match=r"Write run\('a fox', model='google/imagen-4', aspect_ratio='16:9'\)"):
        im.run("google/imagen-4", input={"prompt": "a fox", "aspect_ratio": "16:9"})
    with pytest.raises(InputError, match=r"Write run\('a fox', model='google/imagen-4'\)"):
        im.run("google/imagen-4", {"prompt": "a fox"})  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("name", "words"),
    [("text_to_image", r"generate\(\) makes one image"), ("history", r"frame\(\)"), ("modles", "Did you mean models")],
)
def test_functions_of_other_tools(name: str, words: str) -> None:
    """What the package does not have says what it has, and is missing all the same."""
    with pytest.raises(AttributeError, match=words):
        getattr(im, name)
    assert not hasattr(im, name)


def test_the_log_by_its_end_and_by_what_was_blocked() -> None:
    """`frame(last=)` has the newest, and "blocked" is a status to ask for, alone or among others."""
    for prompt in ("a fox", BLOCKED, "an owl"):
        im.generate(prompt, experiment="e")
    assert list(im.frame(last=2).prompt) == [BLOCKED, "an owl"]
    assert list(im.frame(status="blocked").prompt) == [BLOCKED]
    assert list(im.frame(status="blocked").status) == ["failed"]
    assert list(im.frame("e", ["succeeded", "blocked"], last=2).prompt) == [BLOCKED, "an owl"]
    for wrong in (0, -1, "2", 1.5):
        with pytest.raises(InputError, match="last cannot be"):
            im.frame(last=wrong)  # type: ignore[arg-type]


def test_judging_a_run(tmp_path: Path) -> None:
    """A rating, a note and a favourite go to the home that the run lies in; zero and "" take them away."""
    run = im.generate("a fox")
    rated = run.rate(4, note="soft light", favourite=True)
    assert (rated.id, rated.rating, rated.note, rated.favourite) == (run.id, 4, "soft light", True)
    again = im.rate(run.id, 0, "")
    assert (again.rating, again.note, again.favourite) == (None, None, True)
    with pytest.raises(InputError, match="a rating cannot be 9"):
        run.rate(9)
    with Workspace(tmp_path / "elsewhere") as other:
        far = other.generate("an owl")
        assert far.rate(2).rating == 2
        assert list(other.frame().rating) == [2]
    assert list(im.frame().rating.dropna()) == []


def test_again() -> None:
    """The same request once more, with its slots, parameters, experiment and tag."""
    first = im.run("a {animal} {{in}} {oil|ink}", animal="fox|owl", aspect_ratio="16:9", experiment="e", tag="t")[1]
    again = first.again()
    assert again.id != first.id
    assert again.request == first.request
    assert (again.experiment, again.tag, again.status) == ("e", "t", "succeeded")
    raw = im.generate("a {fox}", raw=True)
    assert raw.again().request == raw.request


def test_an_image_can_be_taken_along(tmp_path: Path) -> None:
    """`save` copies the original's bytes to a file, or into a folder under a name that says what it is."""
    image = im.run("a {animal} at dawn", animal="fox", output_format="png")[0].images[0]
    exact, named = image.save("copy.png"), image.save(tmp_path / "new" / "deeper.png")
    assert exact == tmp_path / "copy.png"
    assert exact.read_bytes() == named.read_bytes() == image.read() == image.path.read_bytes()
    in_folder = image.save(f"{tmp_path}/pictures/")
    assert in_folder.parent == tmp_path / "pictures"
    assert in_folder.name.startswith("fox")
    assert image.save(tmp_path / "pictures") == in_folder
    assert image.pil().size == (image.width, image.height)
    assert isinstance(image.pil(), Pillow.Image)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        image.save(tmp_path / "file" / "x.png")
    image.path.unlink()
    for act in (image.read, image.pil, lambda: image.save("gone.png")):
        with pytest.raises(ImageError, match="cannot be read"):
            act()
    assert not (tmp_path / "gone.png").exists()


def test_runs_show_themselves_at_any_time(capsys: pytest.CaptureFixture[str]) -> None:
    """`show()` of runs, of one and of an image is text here, also while they fill in; a long prompt is cut."""
    runs = im.run("a {red|blue} fox " + "and so on " * 150, background=True)
    runs.show()
    runs.wait().show()
    runs[0].show()
    runs[0].images[0].show()
    assert "2 of 2 ended, 2 succeeded" in capsys.readouterr().out
    print(runs[0])
    assert len(capsys.readouterr().out) < 250


def test_what_a_workspace_has_to_say_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script hears on stderr that the simulator answers, once; who types, in the output, that something changed."""
    monkeypatch.delenv("IMAGEN_NB_PROVIDER")
    monkeypatch.delattr("sys.ps1", raising=False)  # a shell of another test leaves it
    im.plan("a fox")
    im.plan("a fox")
    assert capsys.readouterr().err.count("images come from the built-in simulator") == 1
    monkeypatch.setenv("IMAGEN_NB_MODEL", "black-forest-labs/flux-schnell")
    monkeypatch.setattr("sys.ps1", ">>> ", raising=False)
    im.plan("a fox")
    assert "the model is black-forest-labs/flux-schnell" in capsys.readouterr().out


def test_a_deleted_working_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the folder that a relative home begins in is gone, that is what the error says."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(im.errors.SettingsError, match=r"imagen_runs is relative to the working folder, .*deleted"):
        im.generate("a fox")


def test_models_and_the_panel_open_from_either_door() -> None:
    """`models()` is a table of what is known, `panel()` a widget, in the package as in a workspace."""
    assert "google/imagen-4" in im.models().index
    with Workspace("other") as ws:
        assert list(ws.models().index) == list(im.models().index)
        assert type(ws.panel()) is type(im.panel())
    assert default_workspace().home.name == "imagen_runs"
