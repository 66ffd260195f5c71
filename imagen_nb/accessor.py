"""`df.imagen`: a log's frame as pictures, figures, pages and files. Importing this gives it to every DataFrame."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from imagen_nb.errors import ImagenError, InputError
from imagen_nb.frames import GALLERY_PAGE, GRID_PAGE, TABLE_PAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagen_nb.frames.compare import Comparison, Key
    from imagen_nb.frames.gallery import Shown
    from imagen_nb.frames.runs import Names
    from imagen_nb.judging.findings import Findings
    from imagen_nb.judging.scorers import Question, Scorer
    from imagen_nb.notebook.judging import Judge
    from imagen_nb.notebook.widgets import Rater
    from imagen_nb.records import Image, Rendering


@pd.api.extensions.register_dataframe_accessor("imagen")
class ImagenAccessor:
    """Looks at, compares and saves the runs of a frame that has the log's columns.

    The frame may be filtered, sorted, concatenated or loaded from a file; it is never changed. Named levels of its
    index count as columns. Every mistake raises `InputError`.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._given = frame

    @property
    def _frame(self) -> pd.DataFrame:
        """The frame as it is now, its index made plain."""
        from imagen_nb.frames.runs import with_levels

        return with_levels(self._given)

    def __repr__(self) -> str:
        """The table as a terminal shows it."""
        from imagen_nb.frames.table import table

        def no_picture(_image: Image) -> str:
            return ""

        try:
            return table(self._frame, thumb=no_picture).text
        except InputError as error:
            return str(error)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Rendering:  # noqa: ARG002 - the protocol
        try:
            return self.table().rendering
        except InputError as error:
            return {"text/plain": str(error)}

    def table(self, columns: Names = None, *, page: int = 1, per_page: int = TABLE_PAGE) -> Shown:
        """The runs with their pictures, one a row: prompt, what varies, scores, status, seconds, cost and rating.

        `columns` chooses others, of the frame or by these names, a list of them. 100 runs a page.
        """
        from imagen_nb.frames.table import table

        return table(self._frame, columns, page=page, per_page=per_page)

    def gallery(self, *, size: int | None = None, page: int = 1, per_page: int = GALLERY_PAGE) -> Shown:
        """Thumbnails in the frame's order, captioned with what tells them apart; 60 runs a page.

        `size` is the longer side of a thumbnail in pixels, 168 by default and at most 1024.
        """
        from imagen_nb.frames.gallery import gallery

        return gallery(self._frame, size=size, page=page, per_page=per_page)

    def grid(
        self,
        rows: Names = None,
        cols: Names = None,
        facet: Names = None,
        *,
        size: int | None = None,
        per_cell: int | None = None,
        page: int = 1,
        per_page: int = GRID_PAGE,
    ) -> Shown:
        """Images in a grid over the values of columns: one name each, or a list of names.

        Without names, the columns that vary are used, and of several experiments each has a grid of its own. A cell
        without an image says why. Repeats share a cell, which shows `per_cell` of them and counts the rest: by default
        as many as leave the grid on one page, 12 at most. `size` is the longer side of a picture in pixels, by default
        what suits the number of columns. Large grids come in pages of whole rows, about 100 pictures each.
        """
        from imagen_nb.frames.grid import grid

        return grid(self._frame, rows, cols, facet, size=size, per_cell=per_cell, page=page, per_page=per_page)

    def compare(self, a: Key | None = None, b: Key | None = None, *more: Key) -> Comparison:
        """Two runs under a slider, or up to six side by side, and what differs between them.

        Each is a run, its id, a beginning of ids that fits one run only, or a position; a frame of two to six needs
        none. The display works in a saved, trusted notebook without a kernel.
        """
        from imagen_nb.frames.compare import compare

        return compare(self._frame, *(key for key in (a, b, *more) if key is not None))

    def rate(self) -> Rater:
        """A widget that shows one run after another, large, to be rated by keyboard alone, in the frame's order.

        1 to 5 rate, 0 clears, f marks a favourite, n goes to the note, arrows move. What is rated is written to the
        runs' log at once.
        """
        from imagen_nb.notebook.rating import rate

        return rate(self._frame)

    def judge(
        self,
        by: str,
        within: Names = None,
        question: str = "Which is better?",
        rater: str | None = None,
        pairs: int | None = None,
    ) -> Judge:
        """A widget that shows two pictures at a time and asks which is better, without telling which is which.

        `by` is the column whose values are compared; `within` are the columns that are equal in a pair, by default all
        that vary but for `by`, what goes with it, `repeat` and `experiment`. Of a run the first image is shown. The
        arrows choose left and right, up is a tie, down neither, Backspace takes an answer back. Each answer is a vote
        in the runs' log, with the name of the `rater`, so that a later call goes on where this one ended; `pairs` is
        how many to ask in all, by default as many as there are (one in ten is asked a second time, its sides swapped).
        """
        from imagen_nb.notebook.judging import judge

        return judge(self._frame, by=by, within=within, question=question, rater=rater, pairs=pairs)

    def judge_with(
        self,
        model: str | Sequence[str],
        by: str,
        within: Names = None,
        question: str = "Which is better?",
        *,
        budget: float | None = None,
        pairs: int | None = None,
    ) -> Findings:
        """Let a model that sees say which of two pictures is better, for every pair that `judge` would show.

        Each pair is asked in both orders; where they disagree the vote is a tie, `swayed`. Its votes stand in the log
        with the model's name as `rater`, and how far it agrees with people's votes stands first in what is shown. Of
        several models, two judge all pairs, and the third those on which they differ. `budget` is US dollars for all of
        it; what was asked before is not asked or paid again. `pairs` is how many pairs, by default all: first those
        that people judged, else at random.
        """
        from imagen_nb.frames.candidates import candidates
        from imagen_nb.notebook.live import watch_here
        from imagen_nb.shared import workspace_of
        from imagen_nb.sweeps.questions import judge_with

        found = candidates(self._frame, by, within)
        with workspace_of(self._frame) as workspace:
            terms: dict[str, Any] = {"by": by, "question": question, "budget": budget, "most": pairs}
            return judge_with(workspace, model, found.pairs(), found.runs, watch=watch_here, **terms)

    def score(self, scorer: Scorer | str | Question, name: str | None = None, version: str = "1") -> LogFrame:
        """The frame with a column `score_<name>`, or one for each key, `score_<name>_<key>`, of a scorer's dict.

        `scorer` is a function (see `imagen_nb.scorers`), the name of one of those there, or a question to a model,
        `imagen_nb.scorers.ask(model, question)`; `name` is by default the function's. A score stays in the log by
        image, name and version, and no image is scored twice by the same: give another `version` when the function has
        changed. A run of several images has the mean of their numbers, else the first. What failed has no score, and
        its reason in `Workspace.scores()`. An interrupt keeps what was scored.
        """
        from imagen_nb.frames.scores import score
        from imagen_nb.notebook.live import counting, watch_here
        from imagen_nb.shared import workspace_of
        from imagen_nb.sweeps.questions import ask_pictures

        made = self._given.copy()
        with workspace_of(self._frame) as workspace, counting() as tell:
            ask = partial(ask_pictures, workspace, watch=watch_here)
            columns = score(self._frame, workspace.log, scorer, name, version, tell=tell, ask=ask)
        for column, values in columns.items():
            made[column] = values
        return cast("LogFrame", made)

    def ranking(self, by: str, question: str | None = None, rater: str | None = None) -> Findings:
        """The levels of the column `by`, the best first, by the votes on runs of this frame: a DataFrame and a picture.

        The columns: `level strength low high` (log-odds, the interval of 95 %), `beats_average`, `votes wins ties
        neither`, `said` (which others it is better than), `leverage` and `hangs_on` (the group that moves it most),
        `enough` and `more_groups`. By default the votes of all people count, those of a model where there are no
        others; `rater` takes one's, `question` the answers to one, which has to be said where there are several.
        """
        from imagen_nb.frames.conclusions import ranking
        from imagen_nb.log.judgements import votes_frame
        from imagen_nb.shared import log_of

        frame = self._frame
        return ranking(frame, votes_frame(log_of(frame)), by, question, rater)

    def effects(self, of: str, factors: Names = None) -> Findings:
        """What each factor does to `of`, with the prompt held equal: a DataFrame and a picture of it.

        `of` is "votes", "rating", a score by its name or column, "total_s", "cost_usd", "succeeded" or "blocked";
        `factors` are columns, by default all that vary except the prompt (of a prompt of several slots: except the
        slot with the most values). One row a level, indexed by `factor` and `level`: `effect low high` against the mean
        of the factor's levels, in how many `groups` and of how many (`n`) runs or votes.
        """
        from imagen_nb.frames.conclusions import VOTES, effects
        from imagen_nb.log.judgements import votes_frame
        from imagen_nb.shared import log_of

        frame = self._frame
        return effects(frame, votes_frame(log_of(frame)) if of == VOTES else pd.DataFrame(), of, factors)

    def alarms(self, most: int | None = None, seconds: float | None = None) -> Findings:
        """What is suspicious, one row each: `alarm runs sure said`.

        A picture that shows nothing, the same picture for different inputs or for repeats, a shape or a model that was
        not asked for, a setting that made no difference, a level that fails far more often than the others. At most
        `most` pictures are looked at, for `seconds` at most (default: all of them).
        """
        from imagen_nb.frames.conclusions import alarms

        return alarms(self._frame, most, seconds)

    def summary(self, by: Names = "model") -> pd.DataFrame:
        """One row a group: `runs success_rate blocked_rate median_s p95_s cost_usd`, and intervals, ratings, scores.

        `success_low success_high blocked_low blocked_high` are the rates' intervals of 95 % (Wilson's), `rating` and
        `score_…` means of those that have one, where any has. `by` is a column or several, the model by default;
        `by=[]` makes one row of all.
        """
        from imagen_nb.frames.summary import summary

        return summary(self._frame, by)

    def report(self, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
        """Write one HTML file that opens offline, with a gallery, a grid, a table, a filter and a compare slider.

        Rankings of what was voted on, effects on ratings, and alarms stand above them, where there are any.
        Returns its absolute path. Images are embedded small enough that a thousand of them can still be mailed about.
        """
        from imagen_nb.frames.report import report
        from imagen_nb.log.judgements import votes_frame
        from imagen_nb.shared import log_of

        frame = self._frame
        votes = None
        with suppress(ImagenError):  # a frame from elsewhere has no log here
            votes = votes_frame(log_of(frame))
        return report(frame, path, title=title, votes=votes)

    def export(self, path: str | os.PathLike[str], *, names: Names = None) -> Path:
        """Write a `.csv` (safe to open in a spreadsheet), a `.parquet`, or a folder that image datasets load.

        A folder's files are named by what varies (`fox_oil_16x9_1.jpg`), or by the columns in `names`. Returns the
        absolute path. `imagen_nb.read_log(path)` reads each of them back.
        """
        from imagen_nb.frames.export import export

        return export(self._frame, path, names=names)


if TYPE_CHECKING:

    class LogFrame(pd.DataFrame):
        """A frame of the log, to a type checker: a DataFrame with `.imagen`. What runs is a DataFrame as any other."""

        imagen: ImagenAccessor
