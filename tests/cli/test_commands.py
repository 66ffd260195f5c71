"""What all commands share: where they work, help, and what they hand on to JupyterLab."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagen_nb.cli import main
from imagen_nb.cli.notebooks import COMPARE, checkout, copy_notebook

Command = Callable[..., int]
COMMANDS = ("run", "log", "models", "reconcile", "lab", "demo", "simulator", "doctor", "docs")


def prompts(simulator: Any) -> list[str]:
    return [each["input"]["prompt"] for each in simulator.predictions]


# -- where -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("words", [["run", "a fox"], ["log"], ["reconcile"], ["doctor"]], ids=lambda words: words[0])
def test_home_and_provider_stand_before_or_behind_the_command(
    simulator: Any, elsewhere: Path, words: list[str], is_behind: bool
) -> None:
    """`imagen-nb run --home DIR --provider URL a fox` is `imagen-nb --home DIR --provider URL run a fox`."""
    where = ["--home", "kept", "--provider", simulator.base_url]
    assert main([*where, "run", "-q", "an owl"]) == 0
    name, *rest = words
    assert main([name, *where, *rest] if is_behind else [*where, name, *rest]) == 0
    assert len(simulator.predictions) == 1 + (name == "run")
    assert [each.name for each in elsewhere.iterdir()] == ["kept"]


def test_what_stands_behind_the_command_counts(simulator: Any, elsewhere: Path) -> None:
    """Of two homes and two providers the ones behind the command are used."""
    behind = ["--home", "kept", "--provider", simulator.base_url]
    assert main(["--home", "other", "--provider", "nobody", "run", "-q", *behind, "a fox"]) == 0
    assert len(simulator.predictions) == 1
    assert [each.name for each in elsewhere.iterdir()] == ["kept"]


@pytest.mark.parametrize("name", ["demo", "docs", "simulator"])
@pytest.mark.parametrize("option", ["--home", "--provider"])
def test_where_is_refused_by_what_has_no_use_for_it(
    name: str, option: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`imagen-nb --home DIR demo` is not taken and ignored: two lines say that it means nothing there."""
    for words in ([option, "x", name], [name, option, "x"]):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 2
        assert option in err
    assert not list(elsewhere.iterdir())


def test_models_are_listed_with_what_they_cost(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line a model; nobody is asked and no folder is made, and the simulator's prices are called simulated."""
    assert main(["models"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert "simulated" in head
    said = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    assert said["google/nano-banana-2"] == "$0.067 to 0.151 an image by resolution takes image_input (14)"
    assert said["google/imagen-4"] == "$0.04 an image shut down 2026-08-17, google/nano-banana-2 follows"
    assert said["openai/gpt-5-mini"].endswith("answers with text · takes image_input")
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_x")
    assert main(["models"]) == 0
    assert "simulated" not in capsys.readouterr().out
    assert not list(elsewhere.iterdir())


# -- lab and help ------------------------------------------------------------------------------------------------------


def test_lab_without_jupyterlab_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two lines, and the second says how to get it."""
    monkeypatch.setattr("imagen_nb.cli.notebooks.find_spec", lambda _: None)
    assert main(["lab"]) == 2
    assert "imagen-nb[lab]" in capsys.readouterr().err
    assert main(["demo"]) == 2
    assert "imagen-nb[lab]" in capsys.readouterr().err


def test_demo_brings_the_next_notebook_and_leaves_ones_own(tmp_path: Path) -> None:
    """The notebook that the quickstart points to lies beside it, and one that was worked in is not written over."""
    target = copy_notebook(COMPARE, tmp_path)
    assert target.parent == tmp_path
    assert '"cells"' in target.read_text(encoding="utf-8")
    target.write_text("worked in", encoding="utf-8")
    assert copy_notebook(COMPARE, tmp_path).read_text(encoding="utf-8") == "worked in"


@pytest.fixture
def jupyterlab(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for JupyterLab that ends with exit code 3, and the file where it notes its words and variables."""
    program = elsewhere / "python"
    program.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" "home=$IMAGEN_NB_HOME" "provider=$IMAGEN_NB_PROVIDER" > seen\nexit 3\n'
    )
    program.chmod(0o755)
    (elsewhere / "mine").mkdir()
    monkeypatch.setattr(sys, "executable", str(program))
    return elsewhere / "seen"


@pytest.mark.parametrize(
    ("words", "root", "passed_on"),
    [
        (["mine", "--no-browser", "--port=9999"], "mine", ["--no-browser", "--port=9999"]),
        (["--port", "8899"], None, ["--port", "8899"]),
        (["--port", "8899", "--no-browser", "mine"], None, ["--port", "8899", "--no-browser", "mine"]),
        (["mine", "--port", "8899"], "mine", ["--port", "8899"]),
        ([], None, []),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else str(each),
)
def test_lab_hands_options_to_jupyterlab(
    jupyterlab: Path, words: list[str], root: str | None, passed_on: list[str]
) -> None:
    """A folder that stands first is JupyterLab's root; all else is passed on as it is; its exit code is ours."""
    assert main(["lab", *words]) == 3
    folder = Path(root) if root else checkout()
    assert folder
    seen = jupyterlab.read_text().splitlines()
    assert seen[:-2] == ["-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}", *passed_on]
    assert seen[-2:] == ["home=", "provider="]


@pytest.mark.parametrize("is_behind", [False, True], ids=["before", "behind"])
def test_lab_hands_home_and_provider_to_its_notebooks(jupyterlab: Path, is_behind: bool) -> None:
    """Kernels, which run in other folders, find the home as a whole path and the provider in their environment."""
    where = ["--home", "runs", "--provider", "simulator"]
    assert main(["lab", "mine", *where] if is_behind else [*where, "lab", "mine"]) == 3
    root = f"--ServerApp.root_dir={Path('mine').resolve()}"
    home = f"home={Path('runs').absolute()}"
    assert jupyterlab.read_text().splitlines() == ["-m", "jupyterlab", root, home, "provider=simulator"]


@pytest.mark.parametrize("place", ["taken.csv", "taken.csv/demo", "/proc/demo"])
def test_demo_in_a_place_that_cannot_be(place: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An output folder that cannot be made is refused in two lines, and what stands in its place is left alone."""
    (elsewhere / "taken.csv").write_text("mine")
    assert main(["demo", "--output", place]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert f"{place} cannot be made" in err
    assert (elsewhere / "taken.csv").read_text() == "mine"


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=["", *COMMANDS])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command explains itself within 80 columns, and the exit code is 0."""
    monkeypatch.setenv("COLUMNS", "80")
    try:
        code = main([*words, "--help"])
    except SystemExit as ended:
        code = int(ended.code or 0)
    out = capsys.readouterr().out
    assert code == 0
    assert out.startswith("usage: imagen-nb")
    assert max(map(len, out.splitlines())) <= 80


def test_command_and_module_are_the_same() -> None:
    """`imagen-nb` and `python -m imagen_nb` are one program."""
    folder = Path(sys.executable).parent
    for command in ([str(folder / "imagen-nb")], [sys.executable, "-m", "imagen_nb"]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("imagen-nb 0.")


def test_help_is_there_at_once() -> None:
    """What has only words to say imports nothing heavy."""
    heavy = "{'IPython', 'PIL', 'jinja2', 'pandas', 'requests', 'sqlalchemy'}"
    code = f"import sys; from imagen_nb.cli import main; main(['--help']); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_thread_is_left(command: Command) -> None:
    """After a run nothing of the workspace goes on in the background."""
    before = set(threading.enumerate())
    assert command("run", "-q", "a fox") == 0
    deadline = time.monotonic() + 5
    while any(each.name.startswith("imagen-") for each in set(threading.enumerate()) - before):
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(0.02)
