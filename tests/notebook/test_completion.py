"""What Tab offers in the magics, through IPython's own completer."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from shells import Session, session

import imagen_nb
from imagen_nb import workspace


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with session(tmp_path) as started:
        started.shell.user_ns.update(
            im=imagen_nb,
            frame=pd.DataFrame({"prompt": ["a fox"]}),
            subprocess=subprocess,
            animals=["fox", "owl"],
            angle=3.5,
            mood="calm",
            helper=len,
            in_doubt=None,
        )
        yield started


FLUX = "black-forest-labs/flux-schnell"


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("%imagen --asp", ["--aspect-ratio"]),
        ("%imagen -n 2 --dry", ["--dry-run"]),
        ("r = %imagen --exp", ["--experiment"]),
        ("pair[0] = %imagen --exp", ["--experiment"]),
        ("    %imagen --out", ["--output-format", "--output"]),
        ("%imagen -a 16:", ["16:9"]),
        ("%imagen --aspect-ratio=16:", ["16:9"]),
        ("%imagen -a16:", ["16:9"]),
        ("%imagen --aspect-ratio ", ["1:1", "9:16", "16:9", "3:4", "4:3"]),
        ("%imagen -a 1:1,4", ["4:3"]),
        ("%imagen -f p", ["png"]),
        ("%imagen -s block_l", ["block_low_and_above"]),
        (f"%imagen -m {FLUX} -f w", ["webp"]),
        (f"%imagen -m {FLUX} -p go_", ["go_fast="]),
        (f"%imagen -m {FLUX} -p go_fast=", ["true", "false"]),
        (f"%imagen -m {FLUX} -p output_format=w", ["webp"]),
        ("%imagen --vary aspect_ratio=1:1|16", ["16:9"]),
        ('%imagen --vary "aspect_ratio=1:1|16', ["16:9"]),
        ("%imagen -o ani", ["animals"]),
        ("%imagen a {an", ["animals", "angle"]),
        ("%imagen a fox in {m", ["mood"]),
        ("r = %imagen --vary style=oil|ink a fox in {st", ["style"]),
        ("%imagen {style=oil|ink} and {st", ["style"]),
        ("%%imagen --asp", ["--aspect-ratio"]),
        ("%%imagen -a 16:", ["16:9"]),
        ("%%imagen\na {ani", ["animals"]),
        ("\n%%imagen --vary style=oil|ink\nfirst line\na {st", ["style"]),
        ("x = 1\n%imagen --asp", ["--aspect-ratio"]),
        ("%imagen_log --st", ["--status"]),
        ("%imagen_log --status suc", ["succeeded"]),
        ("%imagen_log --status b", ["blocked"]),
        ("%imagen_login kk", ["kkiai"]),
        ("frame.imagen.gal", ["gallery"]),
        ("(frame.imagen.gri", ["grid"]),
        ('im.generate("a fox", asp', ["aspect_ratio="]),
        (f'plan = im.plan(\n    "a fox",\n    model="{FLUX}",\n    go_', ["go_fast="]),
    ],
)
def test_what_is_offered(notebook: Session, text: str, offered: list[str]) -> None:
    """Options, values and names complete where they stand, and nothing else is mixed in."""
    assert notebook.complete(text) == offered


def test_models(notebook: Session) -> None:
    """A model is found by the beginning of its name, or of the part behind the owner."""
    found = notebook.complete("%imagen -m fl")
    assert FLUX in found
    assert all(name.startswith("black-forest-labs/flux") for name in found)
    assert "ideogram-ai/ideogram-v3-quality" in notebook.complete("%imagen -m google/imagen-4,ideo")


def test_slots_of_the_prompt_for_vary(notebook: Session) -> None:
    """--vary offers the slots of the prompt behind the cursor, and the model's parameters."""
    offered = notebook.complete("%imagen --vary ", after=" a {subject} in {style}")
    assert offered[:2] == ["subject=", "style="]
    assert "aspect_ratio=" in offered
    assert "prompt=" not in offered
    assert notebook.complete("%%imagen --vary st", after="\na fox in {style}") == ["style="]


def test_single_dash_offers_both_forms(notebook: Session) -> None:
    """A single dash offers long and short forms; what was given is not offered again."""
    offered = notebook.complete("%imagen -n 2 -p seed=1 -")
    assert "--aspect-ratio" in offered
    assert "-a" in offered
    assert "--param" in offered
    assert "--repeat" not in offered


@pytest.mark.parametrize(
    "text",
    ["imagen -a 16:", "print('%imagen -a 16:", "%time -", "%imagen\nfo", 'subprocess.run("a", asp'],
)
def test_elsewhere_it_is_silent(notebook: Session, text: str) -> None:
    """Outside of the magics nothing of ours is offered."""
    (matcher,) = notebook.shell.Completer.custom_matchers
    from IPython.core.completer import CompletionContext

    *above, last = text.split("\n")
    context = CompletionContext(token="", full_text=text, cursor_position=len(last), cursor_line=len(above), limit=None)
    assert matcher(context) == {"completions": []}


@pytest.mark.parametrize(
    "text",
    [
        "%imagen a red f",
        "%imagen a red ",
        "%imagen a {{an",
        "%imagen x {an} b",
        "%imagen a fox named an",
        "%imagen -n ",
        "%imagen -n 1",
        "%imagen -t an",
        "%imagen -m zzz",
        "%imagen -a 7:",
        "%imagen --vary 'style=an",
        "%imagen --zzz",
        "%%imagen\na red f",
        "%%imagen\na red fox\nin ",
        "%%imagen\na red fox\n",
        "%imagen_log x",
        "%imagen_log --last ",
        "%imagen_login zzz",
    ],
)
def test_no_name_of_python_is_mixed_in(notebook: Session, text: str) -> None:
    """Where there is nothing to offer in a magic, Tab offers nothing: neither Python's names nor the word itself."""
    notebook.shell.Completer.use_jedi = True
    assert notebook.complete(text) == []


@pytest.mark.parametrize(("text", "usual"), [("%imagen --timeout ", "600"), ("%imagen --jobs ", "16")])
def test_usual_values(notebook: Session, text: str, usual: str) -> None:
    """Of any number that would do, the usual one is offered."""
    assert notebook.complete(text) == [usual]


def test_it_makes_no_home_and_asks_nobody(notebook: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Completion neither makes a folder nor a connection, even for experiments and models nobody knows."""
    monkeypatch.setattr(workspace, "_simulator", None)
    assert notebook.complete("%imagen -e ") == [] or not (tmp_path / "imagen_runs").exists()
    notebook.complete("%imagen -m no/body -p s")
    assert not (tmp_path / "imagen_runs").exists()
    assert workspace._simulator is None


def test_a_mistake_in_it_never_shows(
    notebook: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With settings that cannot be used, Tab offers what needs none of them and says nothing."""
    monkeypatch.setenv("IMAGEN_NB_PROVIDER", "nonsense")
    assert notebook.complete("%imagen --asp") == ["--aspect-ratio"]
    notebook.complete("%imagen -m fl")
    notebook.complete("%imagen --vary '")
    written = capsys.readouterr()
    assert written.out + written.err == ""
