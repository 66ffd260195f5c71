"""A process with a workspace in use, and the children it forks, all of which make an image at once.

`python forking.py HOME BASE_URL COUNT` prints a line for each image, made by the parent or a child: the prompt, what
became of it, and the session that drove it. With the word `line` for HOME there is no workspace, only a connection:
each process asks over it for a path of its own, and prints the path and the reply. With `log` for BASE_URL there is
only a log, to which a thread of the parent writes over and over: each child writes a row and prints how long it took.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from imagen_nb.api.transport import Exchange, HttpConnections, NoAuth
from imagen_nb.log.log import Log
from imagen_nb.records import Request
from imagen_nb.workspace import Workspace

PATIENCE_S = 60.0


def make(workspace: Workspace, prompt: str) -> None:
    """Make one image and say how that went, in one write."""
    try:
        status = str(workspace.generate(prompt, timeout=30.0).status)
    except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
        status = repr(error)
    os.write(1, f"{prompt}|{status}|{workspace.log.session.id}\n".encode())


def ask(line: HttpConnections, base_url: str, path: str) -> None:
    """Ask for a path and say what came."""
    body = bytearray()
    line.send("GET", base_url + path, Exchange(time.monotonic() + 10.0), sink=body.extend)
    os.write(1, f"{path}|{body.decode()}\n".encode())


def fork(*acts: Callable[[], object]) -> int:
    """The process id of a child that does these things and ends."""
    pid = os.fork()
    if pid == 0:
        try:
            for act in acts:
                act()
        finally:
            os._exit(0)
    return pid


def wait_for(pids: list[int]) -> None:
    """Wait for the children, and end those that do not come to an end."""
    until = time.monotonic() + PATIENCE_S
    while pids and time.monotonic() < until:
        pids = [pid for pid in pids if os.waitpid(pid, os.WNOHANG)[0] == 0]
        time.sleep(0.02)
    for pid in pids:
        os.kill(pid, 9)


def share_a_workspace(home: str, base_url: str, count: int) -> None:
    with Workspace(Path(home), provider=base_url, settle_s=0.6) as workspace:
        make(workspace, "before")
        pids = [fork(partial(make, workspace, f"child {number}"), workspace.close) for number in range(count)]
        make(workspace, "meanwhile")
        wait_for(pids)
        make(workspace, "after")


def share_a_line(base_url: str, count: int) -> None:
    line = HttpConnections(NoAuth())
    ask(line, base_url, "/files/before")
    pids = [fork(partial(ask, line, base_url, f"/files/{number}"), line.close) for number in range(count)]
    ask(line, base_url, "/files/meanwhile")
    wait_for(pids)
    ask(line, base_url, "/files/after")


def write_row(home: str) -> None:
    """Write a row to a log of one's own, and say how long that took."""
    began = time.monotonic()
    with Log(Path(home)) as log:
        log.intend([Request("some/model", {"prompt": "a fox"}, "a fox")], provider="test")
    os.write(1, f"{time.monotonic() - began:.3f}\n".encode())


def share_a_log(home: str, count: int) -> None:
    with Log(Path(home)) as log:
        ended = threading.Event()

        def write() -> None:
            while not ended.is_set():
                log.intend([Request("some/model", {"prompt": "a cat"}, "a cat")] * 500, provider="test")
                time.sleep(0.01)  # as any writer leaves the others a chance

        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(count):
            wait_for([fork(partial(write_row, home))])
        ended.set()
        writer.join()


def main() -> None:
    home, base_url, count = sys.argv[1:]
    if base_url == "log":
        share_a_log(home, int(count))
        return
    if home == "line":
        share_a_line(base_url, int(count))
    else:
        share_a_workspace(home, base_url, int(count))


if __name__ == "__main__":
    main()
