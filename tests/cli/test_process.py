"""The command as a shell has it: signals, and a stdout that is narrow, full or closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from caller import Caller

from imagen_nb.cli import main

Command = Callable[..., int]


def prompts(simulator: Any) -> list[str]:
    return [each["input"]["prompt"] for each in simulator.predictions]


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


def wait_for_creates(simulator: Any, number: int) -> None:
    deadline = time.monotonic() + 30
    while len(simulator.predictions) < number:
        assert time.monotonic() < deadline, "nothing was created"
        time.sleep(0.02)


def test_interrupt_cancels_logs_and_exits_with_130(
    process: Callable[..., subprocess.Popen[str]], simulator: Any, home: Path
) -> None:
    """Ctrl-C: what is in flight is canceled at the provider and logged, and the exit code is 130."""
    running = process("run", "-e", "night", "-n", "2", "[stuck] a fox")
    wait_for_creates(simulator, 2)
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
    """SIGKILL while it waits: `reconcile` finds the prediction, says how it ended, and creates nothing."""
    running = process("run", "[stuck] a fox")
    wait_for_creates(simulator, 1)
    running.kill()
    running.wait()
    with closing(Caller(simulator.port)) as caller:
        caller("POST", f"/v1/predictions/{simulator.predictions[0]['id']}/cancel")
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
