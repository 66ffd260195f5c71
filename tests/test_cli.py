"""The command `imagen-nb`, against a simulator over a socket: what it sends, prints, writes, and exits with."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imagen_nb.cli import main
from imagen_nb.cli.notebooks import COMPARE, checkout, copied
from imagen_nb.cli.running import Ticker
from imagen_nb.core.records import Progress, Status
from imagen_nb.simulator import Faults, Simulator
from imagen_nb.workspace import CONFIRM_ABOVE

Command = Callable[..., int]
COMMANDS = ("run", "log", "reconcile", "lab", "demo", "simulator", "doctor")


@pytest.fixture
def command(simulator: Any, home: Path) -> Command:
    """The command with this test's home and simulator."""
    return lambda *words: main(["--home", str(home), "--provider", simulator.base_url, *words])


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


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


def test_a_card_tells_a_shell_what_a_shell_can_do(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    """Below a run whose reply was lost for good stands the command that looks for it; a prompt stands as it is."""
    with Simulator(latency=0.05, faults=Faults(drop_after=1.0, no_list=True)) as simulator:
        main(["--home", str(home), "--provider", simulator.base_url, "run", "write home= and imagen_nb.reconcile()"])
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


# -- as a process ------------------------------------------------------------------------------------------------------


@pytest.fixture
def process(simulator: Any, home: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command as a process of its own, and ends it with the test."""
    begun: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        where = [] if words[0] == "simulator" else ["--home", str(home), "--provider", simulator.base_url]
        command = [sys.executable, "-m", "imagen_nb", *where, *words]
        # A group of its own, and an interrupt that is not ignored, as a terminal gives it.
        each = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads yet
        )
        begun.append(each)
        return each

    yield begin
    for each in begun:
        if each.poll() is None:
            each.kill()
        each.communicate()


def created(simulator: Any, number: int) -> None:
    deadline = time.monotonic() + 30
    while len(simulator.predictions) < number:
        assert time.monotonic() < deadline, "nothing was created"
        time.sleep(0.02)


def test_interrupt_cancels_logs_and_exits_with_130(
    process: Callable[..., subprocess.Popen[str]], simulator: Any, home: Path
) -> None:
    """Ctrl-C: what is in flight is canceled at the provider and logged, and the exit code is 130."""
    running = process("run", "-e", "night", "-n", "2", "[stuck] a fox")
    created(simulator, 2)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert [each["status"] for each in simulator.predictions] == ["canceled", "canceled"]
    assert "--resume" in err
    assert "Traceback" not in err
    assert main(["--home", str(home), "log", "--status", "canceled"]) == 0


def test_killed_run_is_settled_by_reconcile(
    process: Callable[..., subprocess.Popen[str]],
    command: Command,
    simulator: Any,
    home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """SIGKILL while it waits: `reconcile` finds the prediction, fetches the image, and creates nothing."""
    running = process("run", "[queued] a fox")
    created(simulator, 1)
    running.kill()
    running.wait()
    simulator._ledger.cancel(simulator._ledger.rows()[0])
    assert command("reconcile") == 0
    assert "1 row was open" in capsys.readouterr().out
    assert len(simulator.predictions) == 1
    assert command("reconcile") == 0
    assert "0 rows were open" in capsys.readouterr().out
    assert main(["--home", str(home), "log", "--status", "canceled"]) == 0
    assert "1 run" in capsys.readouterr().out


def test_reader_that_goes_away_is_no_error(process: Callable[..., subprocess.Popen[str]], command: Command) -> None:
    """`imagen-nb log | head` ends without a traceback."""
    assert command("run", "-q", "-n", "3", "a fox") == 0
    running = process("log")
    assert running.stdout
    running.stdout.close()
    assert running.stderr
    assert running.stderr.read() == ""


def test_simulator_serves_until_interrupted(process: Callable[..., subprocess.Popen[str]], home: Path) -> None:
    """`imagen-nb simulator` prints its base URL, answers there, and ends well on Ctrl-C."""
    serving = process("simulator", "--latency", "0.05", "--seed", "7")
    assert serving.stdout
    base_url = serving.stdout.readline().strip()
    assert main(["--home", str(home), "--provider", base_url, "run", "-q", "a fox"]) == 0
    serving.send_signal(signal.SIGINT)
    assert serving.wait(timeout=20) == 0


# -- stdout as a shell leaves it ---------------------------------------------------------------------------------------


@pytest.fixture
def shell(simulator: Any, home: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command in a shell, with its stdout redirected and with these variables set."""

    def ran(redirect: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "imagen_nb", "--home", str(home), "--provider", simulator.base_url, *words]
        return subprocess.run(
            ["sh", "-c", f'exec "$0" "$@" {redirect}', *command],  # noqa: S607 - the shell that users have
            capture_output=True,
            check=False,
            encoding="ascii",
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "", **variables},
        )

    return ran


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_letters_that_stdout_lacks_end_nothing(
    shell: Callable[..., subprocess.CompletedProcess[str]], simulator: Any, encoding: str
) -> None:
    """A prompt in letters that stdout's encoding lacks is sent as it is, and run and log say it with marks for them."""
    made = shell("", "run", "日本 fox " + "in the snow " * 20, PYTHONIOENCODING=encoding)
    logged = shell("", "log", PYTHONIOENCODING=encoding, COLUMNS="80")
    assert (made.returncode, logged.returncode) == (0, 0)
    assert "?? fox" in made.stdout
    assert "?? fox" in logged.stdout
    assert "Traceback" not in made.stderr + logged.stderr
    assert prompts(simulator)[0].startswith("日本 fox")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_stdout_without_room_is_two_lines(
    command: Command, shell: Callable[..., subprocess.CompletedProcess[str]], unbuffered: str
) -> None:
    """Where stdout cannot be written, two lines say so, once, and the exit code is 1."""
    assert command("run", "-q", "a fox") == 0
    done = shell("> /dev/full", "log", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert done.stderr.startswith("imagen-nb: the output cannot be written: No space left")


@pytest.mark.parametrize("redirect", [">&-", ">&- 2>&-"])
def test_closed_stdout_is_silence(
    command: Command, shell: Callable[..., subprocess.CompletedProcess[str]], redirect: str
) -> None:
    """With stdout closed the command does its work, and says nothing of it."""
    assert command("run", "-q", "a fox") == 0
    done = shell(redirect, "log")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- log ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged(command: Command, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, with four runs in the log: one failed, one blocked."""
    assert command("run", "-q", "-e", "zoo", "a {red fox|[fail] fox|[blocked] fox}") == 1
    assert command("run", "-q", "-a", "16:9", "an owl " + "in a very long story " * 20) == 0
    capsys.readouterr()
    return command


def test_log_is_a_table_of_eighty_columns(
    logged: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run is a line, each failure has its reason below, nothing is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    assert logged("log") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["run", "status", "time", "cost", "model", "prompt"]
    assert lines[-1] == "4 runs"
    assert sum("E005" in line or "flagged" in line for line in lines) == 1


def test_log_filters(logged: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """By experiment, by status and by number, together too, in the magic's own short forms as well."""
    for words, last in (
        (["--experiment", "zoo"], "3 runs"),
        (["--status", "failed"], "2 runs"),
        (["--experiment", "zoo", "--status", "succeeded"], "1 run"),
        (["--last", "2"], "4 runs, the newest 2 shown (--last N shows N)"),
        (["--experiment", "none"], "0 runs"),
        (["-e", "zoo", "-n", "1"], "3 runs, the newest 1 shown (--last N shows N)"),
    ):
        assert logged("log", *words) == 0
        assert capsys.readouterr().out.splitlines()[-1] == last


def test_log_goes_to_files(logged: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CSV, Parquet and a report, in one go, with the same rows."""
    import pandas as pd

    csv, parquet, report = (tmp_path / name for name in ("log.csv", "log.parquet", "log.html"))
    assert logged("log", "--csv", str(csv), "--parquet", str(parquet), "--html", str(report), "--last", "3") == 0
    assert capsys.readouterr().out.count("3 runs written to") == 3
    assert len(pd.read_csv(csv)) == 3
    assert pd.read_parquet(parquet)["status"].tolist() == ["failed", "failed", "succeeded"]
    assert "an owl" in report.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [["--csv", "log.txt"], ["--html", "/no/such/folder/log.html"]])
def test_log_to_a_file_that_cannot_be(
    logged: Command, capsys: pytest.CaptureFixture[str], words: list[str], elsewhere: Path
) -> None:
    """A file with a misleading name, or in a folder that is not there, is refused in two lines."""
    assert logged("log", *words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert not list(elsewhere.glob("log.*"))


# -- doctor ------------------------------------------------------------------------------------------------------------


def test_doctor_finds_nothing_wrong(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a token the simulator is in force, and all is well; nothing is made by looking."""
    monkeypatch.chdir(tmp_path)
    assert main(["--home", str(home), "doctor"]) == 0
    out = capsys.readouterr().out
    assert "BAD" not in out
    for word in ("simulator", "none needed", "reachable", "journal", "SQLite", "pandas"):
        assert word in out
    assert not list(tmp_path.iterdir())


def test_doctor_checks_a_log_that_is_there(logged: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A home with runs is opened and verified."""
    assert logged("doctor") == 0
    assert "4 runs" in " ".join(capsys.readouterr().out.split())  # a long path may put them on two lines


@pytest.mark.parametrize(
    ("provider", "broken"), [("http://127.0.0.1:9", "reachable"), ("kkiai", "provider"), ("nobody", "provider")]
)
def test_doctor_names_what_is_broken(
    home: Path, capsys: pytest.CaptureFixture[str], provider: str, broken: str
) -> None:
    """No such provider, no token, no answer: exit code 1, and the line is marked."""
    assert main(["--home", str(home), "--provider", provider, "doctor"]) == 1
    marked = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("BAD")]
    assert marked == [broken]


def test_doctor_finds_a_home_that_cannot_be(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file stands where the folder should be."""
    home.write_text("in the way")
    assert main(["--home", str(home), "doctor"]) == 1
    assert "BAD  home" in capsys.readouterr().out


def test_doctor_never_shows_the_token(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused token is said to be refused, and not one letter of it is printed."""
    monkeypatch.setenv("IMAGEN_NB_TOKEN", "canary-wrong-token")
    with Simulator(token="the-right-one") as strict:
        assert main(["--home", str(home), "--provider", strict.base_url, "doctor"]) == 1
    out, err = capsys.readouterr()
    assert "BAD  reachable" in out
    assert "found (it is never shown)" in out
    assert "canary" not in out + err


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


@pytest.mark.parametrize("name", ["demo", "simulator"])
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
    target = copied(COMPARE, tmp_path)
    assert target.parent == tmp_path
    assert '"cells"' in target.read_text(encoding="utf-8")
    target.write_text("worked in", encoding="utf-8")
    assert copied(COMPARE, tmp_path).read_text(encoding="utf-8") == "worked in"


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


def test_no_thread_is_left(command: Command) -> None:
    """After a run nothing of the workspace goes on in the background."""
    before = set(threading.enumerate())
    assert command("run", "-q", "a fox") == 0
    deadline = time.monotonic() + 5
    while any(each.name.startswith("imagen-") for each in set(threading.enumerate()) - before):
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(0.02)
