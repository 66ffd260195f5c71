"""One run after another, large, to be rated by keyboard alone: from a log, and into it at once.

The panel's large views and `df.imagen.rate()` are the same view over other runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import InputError
from imagen_nb.notebook.widgets import Rater, short_path
from imagen_nb.records import INDEX
from imagen_nb.views.pages import fill
from imagen_nb.views.pictures import home_of
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

    ids = list(dict.fromkeys(str(run_id) for run_id in values(frame, INDEX) if run_id is not None))
    log = _log_of(frame)
    unknown = len(ids) - len(log.run_ids(ids=ids))
    if unknown or not ids:
        raise InputError(
            f"{count(unknown, 'run')} of this frame cannot be found in the log of {short_path(log.home)}"
            if ids
            else "this frame has no runs to rate",
            "Rate a frame of imagen_nb.frame(): filter and sort it as you like, and keep its index.",
        )
    shown = Rater(LogSource(lambda: log, lambda: ids))
    text = f"{count(len(ids), 'run')} to rate; run this cell again to do so."
    shown.fallback = {"text/plain": text, "text/html": fill("still.html", pictures=[], text=text)}
    return shown


def _log_of(frame: pd.DataFrame) -> Log:
    """The log that the frame's runs are in: that of the home where their images are, else the default one."""
    from imagen_nb.frames.runs import values

    paths = [Path(each) for each in values(frame, "image") if isinstance(each, str)]
    homes = {home for path in paths if (home := home_of(path)) is not None}
    if len(homes) > 1:
        names = ", ".join(sorted(short_path(home) for home in homes))
        raise InputError(f"these runs are in several homes: {names}", "Rate the runs of one home at a time.")
    if homes:
        from imagen_nb.log.log import Log

        return Log(homes.pop())
    from imagen_nb.workspace import default_workspace

    return default_workspace().log
