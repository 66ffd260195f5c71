"""The handle of several runs: it fills in while they run, and is what the cell shows in the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from imagen_nb.collect import SLICE_S
from imagen_nb.core.records import Progress, Rendering, Run
from imagen_nb.errors import UncertainError
from imagen_nb.runner import Sweep

if TYPE_CHECKING:
    import pandas as pd


_UNASKED = {
    "not_sent": "It was tried several times, and the list of predictions shows none of them. Try again later.",
    "uncertain": "It may have been accepted, so it is not sent again; imagen_nb.reconcile() finds out.",
}


class Runs(Sequence[Run]):
    """The runs of one plan that have ended so far, in the plan's order; complete when `is_done`.

    `frame` and `show` come from the workspace: rows of the log for run ids, and the display of a handle.
    """

    def __init__(self, frame: Callable[[list[str]], pd.DataFrame], show: Callable[[Runs], Rendering]) -> None:
        self._frame = frame
        self._show = show
        self._lock = threading.Lock()
        self._ended: list[tuple[int, Run]] = []
        self._sorted: list[Run] | None = None
        self._sweep: Sweep | None = None

    def start(self, sweep: Sweep) -> Runs:
        """Begin the sweep that fills this handle."""
        self._sweep = sweep
        sweep.start()
        return self

    def add(self, index: int, run: Run) -> None:
        """Take in the run that ended for the request at `index` of the plan."""
        with self._lock:
            self._ended.append((index, run))
            self._sorted = None

    # -- waiting -------------------------------------------------------------------------------------------------

    @property
    def sweep(self) -> Sweep:
        if self._sweep is None:
            raise RuntimeError("these runs were never started")
        return self._sweep

    @property
    def is_done(self) -> bool:
        """Whether every run has ended."""
        return self.sweep.is_done

    @property
    def error(self) -> Exception | None:
        """What stopped the sweep before its end, or None."""
        return self.sweep.error

    def progress(self) -> Progress:
        """Counts, seconds and cost so far."""
        return self.sweep.progress()

    def wait(self, timeout: float | None = None) -> Runs:
        """Wait for the end, `timeout` seconds at most (default: as long as it takes), and give the runs themselves.

        Raises the `ImagenError` that stopped the sweep, if one did.
        """
        if self.sweep.wait(timeout) and self.sweep.error is not None:
            raise self.sweep.error
        return self

    def only(self) -> Run:
        """The run of a plan of one request, waited for.

        Raises what kept it from being asked, and `UncertainError` where nobody knows whether it was.
        """
        run = self.wait()[0]
        if run.prediction_id is None and run.error_code in _UNASKED:
            raise UncertainError(str(run.error), _UNASKED[run.error_code])
        return run

    def cancel(self) -> Runs:
        """Send nothing more and cancel what is in flight; returns at once, `.wait()` waits for the last rows."""
        self.sweep.cancel()
        return self

    def as_completed(self, timeout: float | None = None) -> Iterator[Run]:
        """Each run as it ends, in the order of ending."""
        deadline = None if timeout is None else time.monotonic() + timeout
        place = 0
        while True:
            is_last = self.is_done
            with self._lock:
                fresh = [run for _, run in self._ended[place:]]
            yield from fresh
            place += len(fresh)
            if is_last or (deadline is not None and time.monotonic() > deadline):
                return
            if not fresh:
                self.sweep.wait(SLICE_S)

    def recent(self, count: int) -> list[Run]:
        """The last `count` runs that ended, the newest first."""
        with self._lock:
            return [run for _, run in self._ended[: -count - 1 : -1]]

    # -- a sequence ----------------------------------------------------------------------------------------------

    def _in_order(self) -> list[Run]:
        with self._lock:
            if self._sorted is None:
                self._sorted = [run for _, run in sorted(self._ended, key=lambda each: each[0])]
            return self._sorted

    def __len__(self) -> int:
        return len(self._ended)

    @overload
    def __getitem__(self, place: int) -> Run: ...
    @overload
    def __getitem__(self, place: slice) -> list[Run]: ...
    def __getitem__(self, place: int | slice) -> Run | list[Run]:
        return self._in_order()[place]

    def __iter__(self) -> Iterator[Run]:
        return iter(list(self._in_order()))

    def frame(self) -> pd.DataFrame:
        """These runs as rows of the log, in the plan's order."""
        return self._frame([run.id for run in self._in_order()])

    def __repr__(self) -> str:
        now = self.progress()
        return f"<Runs: {now.done} of {now.total} ended, {now.succeeded} succeeded>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - Jupyter's signature
        return self._show(self)
