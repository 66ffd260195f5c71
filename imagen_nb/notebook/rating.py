"""One run after another, large, to be rated by keyboard alone: from a log, and into it at once.

The panel's large views and `df.imagen.rate()` are the same view over other runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from imagen_nb.notebook.widgets import Rater
from imagen_nb.records import INDEX
from imagen_nb.shared import log_of
from imagen_nb.views.pages import fill
from imagen_nb.views.words import count

if TYPE_CHECKING:
    import pandas as pd

    from imagen_nb.log.log import Log
    from imagen_nb.records import Run


class LogSource:
    """Runs of a log, in the order of the ids that `order()` gives; `on_mark()` is called after a mark was written."""

    def __init__(
        self, log: Callable[[], Log], order: Callable[[], Sequence[str]], on_mark: Callable[[], None] = lambda: None
    ) -> None:
        self._log = log
        self._order = order
        self._on_mark = on_mark

    def order(self) -> list[str]:
        """The ids of all of them."""
        return list(self._order())

    def get(self, run_ids: Sequence[str]) -> list[Run]:
        """These runs as the log has them. Raises `InputError` for one that is not in it."""
        if len(run_ids) == 1:
            return [self._log().get(run_ids[0])]
        found = {run.id: run for run in self._log().runs(ids=run_ids)}
        return [found[run_id] for run_id in run_ids if run_id in found]

    def rate(self, run_id: str, **marks: Any) -> None:
        """Write the marks, as `Log.rate` takes them."""
        self._log().rate(run_id, **marks)
        self._on_mark()


def rate(frame: pd.DataFrame) -> Rater:
    """A widget that shows the frame's runs one at a time, in its order; what is rated is written to their log at once.

    Raises `InputError` for a frame without runs, and for runs that are not in one log.
    """
    from imagen_nb.frames.runs import values

    log = log_of(frame)
    ids = list(dict.fromkeys(str(run_id) for run_id in values(frame, INDEX)))
    shown = Rater(LogSource(lambda: log, lambda: ids))
    text = f"{count(len(ids), 'run')} to rate; run this cell again to do so."
    shown.fallback = {"text/plain": text, "text/html": fill("still.html", pictures=[], text=text)}
    return shown
