"""The simulator in the foreground, as the command line runs it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest
from caller import Caller

from imagen_nb.simulator import serve

COMMAND = "from imagen_nb.simulator import serve; serve(latency=0.0)"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_stops_when_told(ending: signal.Signals) -> None:
    """The first line is the base URL, predictions are answered, and the signal ends it quietly."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", COMMAND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        call = Caller(int(process.stdout.readline().rsplit(":", 1)[1]))
        assert call.create(wait=True)["status"] == "succeeded"
        call.close()
        process.send_signal(ending)
        rest, complaints = process.communicate(timeout=10)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, rest, complaints) == (0, "", "")


def test_a_port_that_is_taken_is_an_error() -> None:
    """OSError, before anything is printed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            serve(taken.getsockname()[1])
