"""Several logs on one home: threads, notebooks, processes, and processes that die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from logged import PROVIDER, prediction, process, request, succeeded

from imagen_nb.log.images import Images
from imagen_nb.log.log import Log
from imagen_nb.records import Status

HAMMER = """
from imagen_nb.log.frame import frame
from imagen_nb.log.log import Log

home, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with Log(home) as log:
    for number in range(count):
        (run_id,) = log.intend([request(f"{name} {number}")], provider=PROVIDER, experiment=name)
        assert log.accept(run_id, prediction(f"{name}-{number}"))
        log.observe(run_id, prediction(f"{name}-{number}", Status.PROCESSING))
        log.settle(run_id, Status.SUCCEEDED, prediction=succeeded(f"{name}-{number}"), cost=0.04)
        if number % 20 == 0:
            assert len(frame(log)) >= number
"""

DIE = """
import os, signal
from imagen_nb.log.images import Images
from imagen_nb.log.log import Log

log = Log(sys.argv[1])
images = Images(sys.argv[1])
(images.folder / "half.part").write_bytes(b"half an image")
ids = log.intend([request(str(number)) for number in range(4)], provider=PROVIDER, experiment="e", tag="t")
log.accept(ids[1], prediction("p1"))
log.accept(ids[2], prediction("p2", Status.PROCESSING))
log.settle(ids[3], Status.SUCCEEDED)
print(" ".join(ids), flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def running(code: str, *arguments: Any) -> Iterator[Popen[str]]:
    """A process that has said its first line, and is gone afterwards."""
    with process(code, *arguments) as started:
        try:
            yield started
        finally:
            started.kill()


def go(started: Popen[str]) -> None:
    assert started.stdin
    started.stdin.write("go\n")
    started.stdin.flush()


def said(started: Popen[str]) -> str:
    assert started.stdout
    return started.stdout.readline().strip()


def test_four_processes_write_one_log(home: Path) -> None:
    """Nobody meets a locked log, no row is lost, and the file stays whole."""
    with ExitStack() as stack:
        workers = [stack.enter_context(running(HAMMER, home, name, 40)) for name in "abcd"]
        assert [said(each) for each in workers] == ["ready"] * 4
        for each in workers:
            go(each)
        assert [each.wait(120) for each in workers] == [0] * 4
    with Log(home) as log:
        assert log.count(status="succeeded") == 160
        assert sorted(log.experiments()) == ["a", "b", "c", "d"]
        assert log.verify() == []
        run_ids = [run.id for run in log.runs()]
        assert run_ids == sorted(set(run_ids))


def test_many_threads_write_one_log(log: Log) -> None:
    """Sixteen threads of one process do not get in each other's way."""
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for number in range(10):
                (run_id,) = log.intend([request()], provider=PROVIDER)
                assert log.accept(run_id, prediction(f"{name}-{number}"))
                log.settle(run_id, Status.SUCCEEDED, prediction=succeeded(f"{name}-{number}"))
                log.latencies("google/imagen-4", PROVIDER)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=[name]) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert log.count(status="succeeded") == 160


def test_the_rows_of_a_killed_process_are_found(home: Path) -> None:
    """While it lives its rows are its own; after SIGKILL they are leftovers, with all that is needed to settle them."""
    with running(DIE, home) as started, Log(home) as log:
        ids = said(started).split()
        assert log.leftovers() == []
        assert log.adopt_rows(ids) == []
        assert {row.is_free for row in log.resume_state("e").open.values()} == {False}
        go(started)
        started.wait(30)
        found = log.leftovers(PROVIDER)
        assert [(row.run_id, row.status, row.prediction_id) for row in found] == [
            (ids[0], Status.INTENT, None),
            (ids[1], Status.STARTING, "p1"),
            (ids[2], Status.PROCESSING, "p2"),
        ]
        assert {(row.experiment, row.tag, row.attempts, row.is_free) for row in found} == {("e", "t", 1, True)}
        assert found[0].request == request("0")
        assert log.leftovers("another") == []
        assert [row.run_id for row in log.adopt_rows(ids)] == ids[:3]
        assert log.leftovers() == []


def test_the_unfinished_files_of_a_killed_process_are_swept(home: Path) -> None:
    """Its temp folder and its lock file go, and those of the living stay."""
    with running(DIE, home) as started:
        said(started)
        (theirs,) = (home / "temp").iterdir()
        living = Images(home)
        mine = living.folder
        assert theirs.is_dir()
        go(started)
        started.wait(30)
        other = Images(home)
        _ = other.folder
        assert not theirs.exists()
        assert mine.is_dir()
        assert len(list((home / "sessions").glob("*.lock"))) == 2
        other.close()
        living.close()
    assert list((home / "sessions").glob("*.lock")) == []


def test_of_two_who_adopt_one_gets_a_row(home: Path) -> None:
    """Adopting in parallel splits the rows, and none is taken twice."""
    with running(DIE, home) as started:
        ids = said(started).split()
        go(started)
        started.wait(30)
    logs = [Log(home) for _ in range(4)]
    taken: list[list[str]] = [[] for _ in logs]
    start = threading.Barrier(len(logs))

    def adopt(place: int) -> None:
        start.wait()
        rows = logs[place].adopt_rows([row.run_id for row in logs[place].leftovers()])
        taken[place] = [row.run_id for row in rows]

    threads = [threading.Thread(target=adopt, args=[place]) for place in range(len(logs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in logs:
        log.close()
    assert sorted(chain.from_iterable(taken)) == ids[:3]


def test_a_closed_log_leaves_its_rows_to_others(home: Path) -> None:
    """Two logs of one process are two owners."""
    with Log(home) as second:
        with Log(home) as first:
            run_ids = first.intend([request()], provider=PROVIDER)
            assert second.leftovers() == []
        assert [row.run_id for row in second.leftovers()] == run_ids


def test_rows_let_go_are_leftovers_at_once(log: Log, home: Path) -> None:
    """Released rows and rows of unknown fate are offered, to this log and to others; those looked for are not."""
    released, unknown, searched = log.intend([request(), request(), request()], provider=PROVIDER)
    log.release([released])
    log.mark_unknown(unknown, "lost")
    log.mark_unknown(searched, "lost", is_final=False)
    with Log(home) as other:
        for each in (log, other):
            assert [row.run_id for row in each.leftovers()] == [released, unknown]
        assert [row.run_id for row in log.adopt_rows([released, unknown, searched])] == [released, unknown]
        assert log.adopt_rows([released, unknown, searched]) == []
        assert other.adopt_rows([released, unknown, searched]) == []


def test_a_row_whose_writing_was_interrupted_is_free(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was committed, but whose id never reached the caller, is a leftover of this very session."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    (run_id,) = log.intend([request()], provider=PROVIDER)
    log.settle(run_id, Status.FAILED)
    with monkeypatch.context() as patched:
        patched.setattr("imagen_nb.log.queries.send_again", interrupted)
        with pytest.raises(KeyboardInterrupt):
            log.reopen([run_id])
    assert log.get(run_id).status is Status.FAILED
    log.reopen([run_id])
    log._driven.clear()
    assert [row.run_id for row in log.leftovers()] == [run_id]


def test_readers_do_not_wait_for_a_writer(log: Log, home: Path) -> None:
    """The log can be read while another log is in the middle of a write."""
    log.intend([request()], provider=PROVIDER)
    with Log(home) as other, other._database.writing():
        assert log.count() == 1


def _read(home: Path, queue: Any) -> None:
    with Log(home) as log:
        queue.put([run.id for run in log.runs()])


def test_a_spawned_worker_opens_the_same_log(log: Log, home: Path) -> None:
    """A worker of multiprocessing sees what was written before."""
    run_ids = log.intend([request()], provider=PROVIDER)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    worker = context.Process(target=_read, args=[home, queue])
    worker.start()
    assert queue.get(timeout=60) == run_ids
    worker.join(30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_not_end_its_parents_session(home: Path) -> None:
    """The child's death leaves the parent the owner of its rows; the parent's leaves them free, child or no child."""
    code = """
import os
from imagen_nb.log.log import Log
log = Log(sys.argv[1])
log.intend([request()], provider=PROVIDER)
if os.fork() == 0:
    sys.exit()
os.wait()
child = os.fork()
if child == 0:
    import time
    time.sleep(60)
print(child, flush=True)
sys.stdin.readline()
"""
    with running(code, home) as started, Log(home) as log:
        child = int(said(started))
        try:
            assert log.leftovers() == []
            started.kill()
            started.wait(30)
            assert len(log.leftovers()) == 1
        finally:
            os.kill(child, signal.SIGKILL)
