"""`imagen-nb run`: what it makes, says and refuses, and how it shows that it is at work."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from acts import rst
from origin import Origin

import imagen_nb
from imagen_nb.cli import main
from imagen_nb.cli.running import Ticker
from imagen_nb.records import Progress, Status
from imagen_nb.settings import CONFIRM_ABOVE

Command = Callable[..., int]


def prompts(simulator: Any) -> list[str]:
    return [each["input"]["prompt"] for each in simulator.predictions]


# -- run ---------------------------------------------------------------------------------------------------------------


def test_run_makes_an_image_and_says_where(
    command: Command, simulator: Any, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One prompt: exit code 0, the image's path on stdout, progress on stderr, one prediction at the provider."""
    assert command("run", "-a", "16:9", "a", "red", "fox") == 0
    out, err = capsys.readouterr()
    (image,) = (home / "images").rglob("*.jpg")
    assert str(image) in out
    assert "succeeded" in out
    assert "1 of 1" in err
    (made,) = simulator.predictions
    assert made["input"]["prompt"] == "a red fox"
    assert made["input"]["aspect_ratio"] == "16:9"


@pytest.mark.parametrize(
    "prompt", ["'tis the season", 'a "quoted"  fox, $HOME', "back\\slash {{braces}}", "-- a dash", "läßt 🦊 grüßen"]
)
def test_run_sends_the_prompt_verbatim(command: Command, simulator: Any, prompt: str) -> None:
    """A quoted prompt arrives as it was typed."""
    assert command("run", "-q", "--raw", "--", prompt) == 0
    assert prompts(simulator) == [prompt]


def test_run_with_axes_runs_every_combination(
    command: Command, simulator: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--vary` fills a slot, a comma list is an axis, and each file is listed."""
    assert command("run", "--vary", "animal=fox|owl", "-f", "jpg,png", "-e", "zoo", "a {animal}") == 0
    assert sorted(prompts(simulator)) == ["a fox", "a fox", "a owl", "a owl"]
    out = capsys.readouterr().out
    assert (out.count(".jpg"), out.count(".png")) == (2, 2)


def test_run_with_a_failure_says_why_and_exits_with_one(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """One of two is blocked: the other is made, the reason is on stdout, the exit code is 1."""
    assert command("run", "a {fox|[blocked] fox}") == 1
    out = capsys.readouterr().out
    assert "1 of 2 succeeded" in out
    assert "E005" in out


def test_run_quietly_prints_nothing(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """`-q` leaves stdout and stderr empty."""
    assert command("run", "-q", "a red fox") == 0
    assert capsys.readouterr() == ("", "")


def test_dry_run_sends_nothing(command: Command, simulator: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`--dry-run` prints how many requests there would be and what they would cost."""
    assert command("run", "--dry-run", "-n", "1000", "a {fox|owl}") == 0
    out = capsys.readouterr().out
    assert "2,000" in out
    assert "$80" in out
    assert not simulator.predictions


def test_budget_stops_cleanly(command: Command, simulator: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A budget for two images of three makes two, and the exit code says that not all was done."""
    assert command("run", "--budget", "0.09", "-j", "1", "-n", "3", "a fox") == 1
    assert len(simulator.predictions) == 2
    assert "budget" in "".join(capsys.readouterr())


def test_resume_goes_on_where_it_ended(command: Command, simulator: Any) -> None:
    """The same command with `--resume` asks for what is missing and for nothing else."""
    assert command("run", "-q", "-e", "night", "-n", "2", "a fox") == 0
    assert command("run", "-q", "-e", "night", "-n", "3", "--resume", "a fox") == 0
    assert len(simulator.predictions) == 3


def test_only_what_is_left_to_resume_is_counted_and_confirmed(
    command: Command, simulator: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 22 requests 20 are there: a dry run says so, and the two that are left need no --yes."""
    assert command("run", "-q", "-e", "night", "-n", "20", "a fox") == 0
    assert command("run", "--dry-run", "--resume", "-e", "night", "-n", "22", "a fox") == 0
    assert "20 of the 22 requests are in the log already; --resume sends 2, about $0.08." in capsys.readouterr().out
    assert command("run", "-q", "--resume", "-e", "night", "-n", "22", "a fox") == 0
    assert len(simulator.predictions) == 22


MISTAKES = [
    ([], "COMMAND"),
    (["paint"], "paint"),
    (["run"], "empty"),
    (["run", "   "], "empty"),
    (["run", "--asp", "16:9", "a fox"], "--asp"),
    (["run", "-a", "7:5", "a fox"], "7:5"),
    (["run", "-o", "x", "a fox"], "-o"),
    (["run", "-p", "colour=red", "a fox"], "colour"),
    (["run", "-m", "not a model", "a fox"], "not a model"),
    (["run", "-n", "0", "a fox"], "0"),
    (["run", "-n", "21", "a fox"], "21"),
    (["run", "a {animal}"], "animal"),
    (["run", "--resume", "a fox"], "resume"),
    (["log", "--status", "happy"], "happy"),
    (["log", "--last", "-3"], "-3"),
    (["log"], "no log"),
    (["lab", "/no/such/folder"], "/no/such/folder"),
]


@pytest.mark.parametrize(("words", "named"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_mistake_is_two_lines_and_sends_nothing(
    command: Command, simulator: Any, capsys: pytest.CaptureFixture[str], words: list[str], named: str
) -> None:
    """A mistake: exit code 2, two lines on stderr that name it, nothing on stdout, nothing sent."""
    assert command(*words) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert 1 <= len(lines) <= 2
    assert lines[0].startswith("imagen-nb: ")
    assert named in lines[0]
    assert "Traceback" not in err
    assert not simulator.predictions


@pytest.mark.parametrize(("option", "value"), [("--latency", "soon"), ("--port", "99999999")])
def test_simulator_mistake_is_two_lines(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A latency that is no number and a port that cannot be are named in two lines, with exit code 2."""
    assert main(["simulator", option, value]) == 2
    out, err = capsys.readouterr()
    *_, message, _ = err.splitlines()
    assert out == ""
    assert message.startswith("imagen-nb: ")
    assert value in message


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("provider", "token", "named"),
    [
        ("nobody", "", "nobody"),
        ("kkiai", "", "KKIAI_API_KEY"),
        ("http://example.org", "", "plain http"),
        ("http://127.0.0.1:9", "", "127.0.0.1"),
        ("kkiai", "two words", "token"),
    ],
)
def test_unusable_provider_is_two_lines(
    provider: str, token: str, named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown, unsafe, unreachable or tokenless provider is named, and the token never shown."""
    if token:
        monkeypatch.setenv("KKIAI_API_KEY", token)
    assert main(["--provider", provider, "run", "--timeout", "3", "a fox"]) == 2
    _, err = capsys.readouterr()
    assert named in err
    assert "two words" not in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("where", [["--provider", "http://127.0.0.1:9"], ["--provider", "simulator"]])
@pytest.mark.parametrize("repeat", ["1", "2"])
def test_a_failure_is_said_once(where: list[str], repeat: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What keeps a request from being asked is two lines on stderr; of several requests stdout lists each with why."""
    assert main([*where, "run", "-m", "nosuch/model", "-n", repeat, "a fox"]) in {1, 2}
    out, err = capsys.readouterr()
    reason = "connection refused" if "http" in where[1] else "HTTP 404"
    assert (reason in out) is (repeat == "2")
    assert err.count(reason) == (repeat == "1")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("variables", "words", "said"),
    [
        ({}, ["run", "a fox"], "KKIAI_API_KEY"),
        ({}, ["doctor"], "KKIAI_API_KEY"),
        ({"IMAGEN_NB_PROVIDER": "kkiai"}, ["run", "a fox"], "Set the variable KKIAI_API_KEY; "),
        ({"IMAGEN_NB_PROVIDER": "kkiai"}, ["doctor"], "Set the variable KKIAI_API_KEY; "),
        ({"IMAGEN_NB_TOKEN": "x"}, ["run", "a fox"], "or --provider: "),
        ({"IMAGEN_NB_HOME": "taken"}, ["run", "a fox"], "with --home or IMAGEN_NB_HOME"),
        ({}, ["run", "-m", "a/b", "--budget", "1", "a fox"], "in Python, Workspace(prices={...})"),
        ({}, ["run", "--dry-run", "a fox"], "Take --dry-run away to send it.\n"),
    ],
)
def test_a_shell_is_told_what_a_shell_can_do(
    variables: dict[str, str],
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No hint, notice or manual of the command line speaks of a magic or of a function's argument."""
    Path("taken").write_text("in the way")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    main(words)
    text = "\n".join(capsys.readouterr())
    assert said in (text if "\n" in said else " ".join(text.split()))
    assert not re.search(r"%\w|\b(home|provider)=|imagen_nb\.\w+\(", text)


def test_what_a_notebook_calls_otherwise_is_said_by_hints_that_know_both() -> None:
    """No other sentence names a magic, a call or an argument that a shell has under another name."""
    package = Path(imagen_nb.__file__).parent
    alone = []
    for path in package.rglob("*.py"):
        if path.parts[-2] in {"notebook", "panel"} or path == package / "planning" / "options.py":  # a notebook's own
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call) and ast.unparse(each.func) == "Hint"]
        known = {id(each) for call in calls for each in ast.walk(call)}
        known |= {id(each) for node in ast.walk(tree) for each in _documentation(node)}
        alone += [
            (path.name, each.value)
            for each in ast.walk(tree)
            if isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in known
            if re.search(r"%imagen_|%config|imagen_nb\.reconcile\(|(?<!\w)(home|provider)=(?!\w)", each.value)
        ]
    assert alone == []


def _documentation(node: ast.AST) -> Iterator[ast.AST]:
    """What no user reads as a hint: docstrings, and the parts of a `repr`."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    if isinstance(node, ast.FunctionDef) and node.name == "__repr__":
        yield from ast.walk(node)


def test_a_card_tells_a_shell_what_a_shell_can_do(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    """Below a run whose reply was lost for good stands the command that looks for it; a prompt stands as it is."""
    with Origin(lists=False) as api:
        api.fault("create", after=[rst])
        main(["--home", str(home), "--provider", api.base_url, "run", "write home= and imagen_nb.reconcile()"])
    out = capsys.readouterr().out
    assert "write home= and imagen_nb.reconcile()" in out
    assert "imagen-nb reconcile looks for it" in out


def test_manuals_say_what_they_mean(capsys: pytest.CaptureFixture[str]) -> None:
    """The number above which `--yes` is needed, the statuses there are, and where the demo puts what it makes."""
    assert main(["run", "--help"]) == 0
    manual = " ".join(capsys.readouterr().out.split())
    assert f"a plan of more than {CONFIRM_ABOVE} requests" in manual
    assert "confirm_above" not in manual
    assert {"--home DIR", "--provider NAME"} <= set(re.findall(r"--\w+ [A-Z]+", manual))
    assert main(["log", "--help"]) == 0
    assert ", ".join(Status) in " ".join(capsys.readouterr().out.split())
    assert main(["demo", "--help"]) == 0
    assert "imagen_demo, in a checkout notebooks/out" in " ".join(capsys.readouterr().out.split())


def test_home_that_is_a_file_is_two_lines(command: Command, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A home that cannot be written: exit code 2, and nothing is sent before a durable row."""
    home.write_text("in the way")
    assert command("run", "a fox") == 2
    assert str(home) in capsys.readouterr().err


# -- progress ----------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_one_line() -> None:
    """On a terminal the line is drawn over itself, within the columns, and gone in the end."""
    stream = Terminal()
    ticker = Ticker(stream)
    for done in range(3):
        ticker.show(Progress(total=3, done=done, succeeded=done, message="x" * 300))
    ticker.end(Progress(total=3, done=3))
    text = stream.getvalue()
    assert "\n" not in text
    assert text.endswith("\r\x1b[K")
    assert all(len(part.removesuffix("\x1b[K")) < 80 for part in text.split("\r"))


def test_progress_elsewhere_is_plain_lines() -> None:
    """In a pipe or a file there are whole lines and no control characters."""
    stream = io.StringIO()
    ticker = Ticker(stream)
    ticker.show(Progress(total=3))
    ticker.end(Progress(total=3, done=3, succeeded=3))
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1
    assert "3 of 3" in stream.getvalue()
