"""What is typed into a cell arrives whole or not at all, and a token typed in the wrong place is not repeated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.error import UsageError
from origin import Origin
from providers import CANARY
from shells import Session, session

from imagen_nb.cli import main
from imagen_nb.errors import InputError
from imagen_nb.notebook.panel.form_plan import FormValues, plan_form
from imagen_nb.records import Run
from imagen_nb.workspace import Workspace

UNSEEN = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"]
"""What ends a line for Python's `splitlines`, and for nobody's eyes."""


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Origin) -> Iterator[Session]:
    """A session whose provider bills every create."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEN_NB_PROVIDER", api.base_url)
    monkeypatch.setenv("IMAGEN_NB_TOKEN", CANARY)
    with session(tmp_path) as started:
        yield started


def prompts(api: Origin) -> list[str]:
    return [each.input["prompt"] for each in api.bills]


@pytest.mark.parametrize("mark", UNSEEN, ids=ascii)
@pytest.mark.parametrize("form", ["%imagen -q {}", "r = %imagen -q {}", "%time %imagen -q {}", "%%imagen -q\n{}"])
def test_a_line_ends_where_one_sees_it_end(notebook: Session, api: Origin, form: str, mark: str) -> None:
    """A prompt with an end of line that nobody sees is sent with all that stands on its line, and none of it runs."""
    text = f"a fox{mark}snow = 1{mark}in snow"
    notebook.run(form.format(text))
    assert notebook.error is None
    assert prompts(api) == [text]
    assert "snow" not in notebook.shell.user_ns


@pytest.mark.parametrize("mark", UNSEEN, ids=ascii)
def test_the_options_of_a_cell_end_where_one_sees_it(notebook: Session, api: Origin, mark: str) -> None:
    """No option of a cell's first line becomes a part of its prompt: a dry run sends nothing."""
    notebook.run(f"%%imagen -n 2{mark}--dry-run\na fox")
    assert notebook.error is None
    assert prompts(api) == []
    for line in (f"%%imagen -q{mark}a word", f"%%imagen{mark}-q"):
        notebook.run(f"{line}\na fox")
        assert isinstance(notebook.error, InputError | UsageError)
    assert prompts(api) == []


@pytest.mark.parametrize("end", ["\\\n", "\\\r\n", "\\  \n"], ids=repr)
@pytest.mark.parametrize("prompt", ["a fox?", "a fox??", "a (fox?", "fox in snow"])
def test_a_continued_line_is_sent_whole(notebook: Session, api: Origin, end: str, prompt: str) -> None:
    """What stands behind a backslash is part of the prompt, a question mark too: the cell never keeps an old result."""
    notebook.run("r = 'old'")
    notebook.run(f"r = %imagen -q a red {end} {prompt}")
    notebook.run(f"%imagen -q {end}{prompt}")
    assert notebook.error is None
    assert isinstance(notebook.value("r"), Run)
    assert [" ".join(each.split()) for each in prompts(api)] == [f"a red {prompt}", prompt]


@pytest.mark.parametrize("opening", ["(", "[", "{", '"""', "'"])
def test_a_prompt_does_not_reach_into_the_next_line(notebook: Session, api: Origin, opening: str) -> None:
    """An open bracket or quote in a prompt takes nothing of the lines below, and these nothing of the prompt."""
    notebook.run(f"%imagen -q a {opening}fox\nafter = 1\nlen?")
    assert notebook.error is None
    assert prompts(api) == [f"a {opening}fox"]
    assert notebook.value("after") == 1


def test_a_prompt_that_is_called_like_a_file_is_a_prompt(
    ws: Workspace, api: Origin, tmp_path: Path, notebook: Session
) -> None:
    """Where one prompt is asked for, the name of a table that is there is text: nobody meant a hundred requests."""
    text = "prompts.csv"
    (tmp_path / text).write_text("prompt\n" + "a fox\n" * 3, encoding="utf-8")
    ws.generate(text)
    notebook.run(f"%imagen -q {text}")
    assert main(["--home", str(ws.home), "--provider", api.base_url, "run", "-q", text]) == 0
    made = plan_form(FormValues(text, ws.model), ws)
    assert made.plan is not None
    ws.run(made.plan)
    assert prompts(api) == [text] * 4
