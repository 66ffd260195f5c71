"""Collecting on an executor of the user's: whatever becomes of its workers, what is paid for is collected."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest
from ledger import books, until
from origin import Origin
from providers import CANARY

from imagen_nb.records import Status
from imagen_nb.workspace import Workspace


class Late(Future[Any]):
    """A future that ends between the waiting for it and the asking whether it has ended."""

    def result(self, timeout: float | None = None) -> Any:
        try:
            return super().result(timeout)
        except TimeoutError:
            until(self.done)
            raise


class Strange(Executor):
    """An executor whose tasks end as `end` says, on a thread each."""

    def __init__(self, end: Callable[[Future[Any], Callable[[], Any]], None], kind: type[Future[Any]] = Future) -> None:
        self._end = end
        self._kind = kind

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = self._kind()
        threading.Thread(target=self._end, args=[future, lambda: fn(*args, **kwargs)], daemon=True).start()
        return future


def _breaking(error: BaseException) -> Strange:
    return Strange(lambda future, _: future.set_exception(error))


class Packing(Executor):
    """An executor that sends its tasks as bytes, which it keeps, to a thread."""

    def __init__(self) -> None:
        self.tasks: list[bytes] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.tasks.append(pickle.dumps((fn, args, kwargs)))
        future: Future[Any] = Future()

        def work() -> None:
            fn, args, kwargs = pickle.loads(self.tasks[-1])  # noqa: S301 - our own bytes
            future.set_result(pickle.loads(pickle.dumps(fn(*args, **kwargs))))  # noqa: S301 - likewise

        threading.Thread(target=work, daemon=True).start()
        return future


class Closed(Executor):
    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        raise RuntimeError("cannot schedule new futures after shutdown")


@pytest.mark.parametrize(
    "executor",
    [_breaking(KeyboardInterrupt()), _breaking(OSError("the worker died")), _breaking(TimeoutError()), Closed()],
    ids=["interrupted", "dead", "timed out", "closed"],
)
def test_a_worker_that_dies_costs_nothing(ws: Workspace, api: Origin, executor: Executor) -> None:
    """The prediction is collected here instead."""
    api.latency = 0.3
    runs = ws.run(ws.plan("a fox", repeat=4), executor=executor, hold=0)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    books(ws.log, api).balance(4)


def test_a_result_that_comes_as_one_stops_waiting_is_a_result(ws: Workspace, api: Origin) -> None:
    """A slice of waiting runs out, and at that moment the task ends."""
    api.latency = 0.6
    pool = Strange(lambda future, collect: future.set_result(collect()), Late)
    runs = ws.run(ws.plan("a fox", repeat=2), executor=pool, hold=0)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    books(ws.log, api).balance(2)


def test_an_executor_that_never_comes_to_it_is_given_up_on(
    ws: Workspace, api: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool that others keep busy does not hold a run beyond its timeout: it is canceled and logged."""
    monkeypatch.setattr("imagen_nb.sweeps.collect.DOWNLOAD_S", 0.5)
    api.latency = 60.0
    go = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(go.wait, 60.0)
        began = time.monotonic()
        (run,) = ws.run(ws.plan("a fox"), executor=pool, timeout=1.0, hold=0)
        assert time.monotonic() - began < 30.0
        go.set()
    assert (run.status, run.error_code) == (Status.CANCELED, "timeout")
    assert api.bills[0].canceled is not None


def test_nothing_but_a_workers_task_carries_the_token(ws: Workspace, api: Origin) -> None:
    """It asks with it elsewhere; settings, providers, runs and what they came to are pickled without."""
    api.latency = 0.1
    executor = Packing()
    runs = ws.run(ws.plan("a fox"), executor=executor, hold=0)
    assert [run.status for run in runs] == [Status.SUCCEEDED]
    assert [CANARY.encode() in task for task in executor.tasks] == [True]
    for kept in (ws.settings, ws.provider, runs, list(runs), runs.frame(), pickle.loads(executor.tasks[0])[1]):  # noqa: S301 - our own
        assert CANARY.encode() not in pickle.dumps(kept)
