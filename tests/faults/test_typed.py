"""What is typed into a cell arrives whole or not at all, and a token typed in the wrong place is not repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from IPython.core.error import UsageError
from origin import Origin
from providers import CANARY
from shells import Session, session

from imagen_nb.cli import main
from imagen_nb.errors import ImagenError, InputError, mask_tokens
from imagen_nb.notebook.panel.form_plan import FormValues, plan_form
from imagen_nb.records import Run
from imagen_nb.shared import login
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
    assert notebook.error is None or "%time" in form  # which reads the line once more, as Python, when all is done
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


# What tokens look like: Replicate's, those of gateways, and any long word of mixed letters and digits.
TOKENS = [CANARY, "sk-Canary0123456789abcdefgh", "Canary0123456789CanaryCanary0123456789"]
PLACES: dict[str, Callable[[Path, str], object]] = {
    "provider": lambda home, token: Workspace(home, provider=token),
    "base URL": lambda home, token: Workspace(home, provider=f"http://example.org/{token}"),
    "URL without a scheme": lambda home, token: Workspace(home, provider=f"example.org/{token}"),
    "home": lambda home, token: Workspace(home / token).frame(),
    "model": lambda home, token: Workspace(home, model=token),
    "model of a plan": lambda home, token: Workspace(home).plan("a fox", model=token),
    "name": lambda home, token: Workspace(home).plan("a fox", **{token: 1}),
    "value": lambda home, token: Workspace(home).plan("a fox", aspect_ratio=token),
    "label": lambda home, token: Workspace(home).frame(status=token),
    "login": lambda _, token: login(token, token="x"),
}


@pytest.mark.parametrize("token", TOKENS, ids=["r8_", "sk-", "mixed"])
@pytest.mark.parametrize("place", PLACES)
def test_a_token_in_the_wrong_place_is_not_repeated(home: Path, place: str, token: str) -> None:
    """Whatever it was given as, the error says what is wrong and shows a mask for it."""
    if place == "home":
        home.mkdir()
        (home / token).write_text("in the way")
    with pytest.raises(ImagenError) as caught:
        PLACES[place](home, token)
    said = "\n".join([str(caught.value), repr(caught.value), *caught.value._render_traceback_()])
    assert "anary" not in said


@pytest.mark.parametrize("token", TOKENS, ids=["r8_", "sk-", "mixed"])
def test_a_token_typed_in_a_wrong_place_is_not_repeated(notebook: Session, token: str) -> None:
    """Behind a magic or an option of one, in its settings, and on the command line."""
    for cell in (
        f"%imagen_login {token}",
        f"%imagen_log {token}",
        f"%imagen_panel {token}",
        f"%imagen -m {token} a fox",
        f"%imagen -o {token}! a fox",
        f"%imagen --{token} a fox",
        f"%imagen -t '{token} a fox",
        f"%%imagen {token}\na fox",
        f"%config ImagenMagics.provider = {token!r}\n%imagen a fox",
    ):
        notebook.run(cell)
        assert isinstance(notebook.error, ImagenError), cell
        assert "anary" not in notebook.out + notebook.err, cell


def test_a_token_on_the_command_line_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """Given as a provider, a command or a word of one."""
    for words in (["--provider", CANARY, "run", "a fox"], [CANARY], ["log", "--status", CANARY], ["doctor", CANARY]):
        assert main(words) != 0
    out, err = capsys.readouterr()
    assert "anary" not in out + err


@pytest.mark.parametrize(
    "text",
    [
        "google/imagen-4",
        "f" * 64,
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "rrr4z55ocneqzikepnug6xezpe",
        "/home/me/imagen_runs/images/0a/0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9.png",
        "AVeryLongNameOfAnExperimentWithoutDigits",
        "sk-learn",
    ],
)
def test_what_is_no_token_is_said_as_it_is(text: str) -> None:
    """Names, hashes, ids and paths stay readable."""
    assert InputError(text, text).message == mask_tokens(text) == text
