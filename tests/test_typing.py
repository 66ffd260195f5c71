"""What editors and type checkers see of the package: every keyword, the types, and the names behind `im.`."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import imagen_nb
from imagen_nb.planning.plan import plan
from imagen_nb.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
VERBS = ("frame", "generate", "models", "panel", "plan", "rate", "reconcile", "run")


def test_a_type_checker_finds_the_wrong_calls() -> None:
    """mypy, strict, finds a mistake in each line of `data/calls.py` that is marked, and in no other."""
    calls = ROOT / "tests" / "data" / "calls.py"
    options = ["--strict", "--follow-imports=silent", "--no-pretty", "--no-error-summary"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(calls)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    found = {int(number) for number in re.findall(r"calls\.py:(\d+): error", done.stdout)}
    lines = calls.read_text(encoding="utf-8").splitlines()
    assert found == {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}, done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_front_door_and_workspace_take_the_same_keywords(verb: str) -> None:
    """A verb has the same keywords and defaults in the package and in a workspace, all of them spelt out."""

    def seen(function: Any) -> list[tuple[str, Any, Any]]:
        return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]

    mine = seen(getattr(imagen_nb, verb))
    assert mine == seen(getattr(Workspace, verb))[1:]
    assert verb in imagen_nb.__all__
    free = [name for name, kind, _ in mine if kind is inspect.Parameter.VAR_KEYWORD]
    assert free == (["names"] if verb in ("generate", "plan", "run") else [])


def test_run_takes_what_planning_and_submitting_take() -> None:
    """No keyword of a plan or of its submission is missing where both are done in one."""

    def keywords(function: Any) -> set[str]:
        given = inspect.signature(function).parameters.values()
        return {each.name for each in given if each.kind is inspect.Parameter.KEYWORD_ONLY}

    assert keywords(Workspace.plan) == keywords(plan) - {"read_file"}
    assert keywords(Workspace.run) == keywords(Workspace.plan) | keywords(Workspace.submit) | {"background"}


COMPLETE = """
import json, sys
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.Completer.use_jedi, shell.Completer.jedi_compute_type_timeout = True, 60_000
shell.run_cell("import imagen_nb as im")
with provisionalcompleter():
    found = {text: {each.text: each.type for each in shell.Completer.completions(text, len(text))}
             for text in ("im.", "im.Run.", "im.run(exp")}
print(json.dumps([found, sorted({"pandas", "requests", "PIL", "sqlalchemy"} & set(sys.modules))]))
"""


def test_completion_knows_every_name_and_loads_nothing_heavy(tmp_path: Path) -> None:
    """Tab behind `im.` offers each public name with its kind, a class's own names and a call's keywords."""
    done = subprocess.run([sys.executable, "-c", COMPLETE], capture_output=True, text=True, check=True, cwd=tmp_path)
    found, heavy = json.loads(done.stdout.splitlines()[-1])
    assert set(found["im."]) == {name for name in imagen_nb.__all__ if name.isidentifier()}
    assert set(found["im."].values()) <= {"class", "function", "module"}
    assert {"again", "cell", "images", "rate", "show"} <= set(found["im.Run."])
    assert "experiment=" in found["im.run(exp"]
    assert heavy == []


def test_the_package_says_that_it_is_typed() -> None:
    """`py.typed` stands beside the modules, so that type checkers read them where the package is installed."""
    assert (Path(imagen_nb.__file__).parent / "py.typed").is_file()
