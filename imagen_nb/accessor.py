"""`df.imagen`: a log's frame as pictures, figures, pages and files. Importing this gives it to every DataFrame."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from imagen_nb.frames.compare import Comparison, Key
    from imagen_nb.frames.gallery import Shown
    from imagen_nb.frames.runs import Names

GALLERY_PAGE, GRID_PAGE = 60, 100


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

    def gallery(self, *, page: int = 1, per_page: int = GALLERY_PAGE) -> Shown:
        """Thumbnails in the frame's order, captioned with what tells them apart; 60 runs a page."""
        from imagen_nb.frames.gallery import gallery

        return gallery(self._frame, page=page, per_page=per_page)

    def grid(
        self,
        rows: Names = None,
        cols: Names = None,
        facet: Names = None,
        *,
        page: int = 1,
        per_page: int = GRID_PAGE,
    ) -> Shown:
        """Images in a grid over the values of columns: one name each, or a list of names.

        Without names, the columns that vary are used. Repeats share a cell; a cell without an image says why. Large
        grids come in pages of whole rows, about 100 runs each.
        """
        from imagen_nb.frames.grid import grid

        return grid(self._frame, rows, cols, facet, page=page, per_page=per_page)

    def compare(self, a: Key | None = None, b: Key | None = None, *more: Key) -> Comparison:
        """Two runs under a slider, or up to six side by side, and what differs between them.

        Each is a run, its id, a beginning of ids that fits one run only, or a position; a frame of two to six needs
        none. The display works in a saved, trusted notebook without a kernel.
        """
        from imagen_nb.frames.compare import compare

        return compare(self._frame, *(key for key in (a, b, *more) if key is not None))

    def summary(self, by: Names = "model") -> pd.DataFrame:
        """A DataFrame with `runs success_rate blocked_rate median_s p95_s cost_usd`, one row a group.

        `by` is a column or several, the model by default; `by=[]` makes one row of all.
        """
        from imagen_nb.frames.summary import summary

        return summary(self._frame, by)

    def report(self, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
        """Write one HTML file that opens offline, with a gallery, a grid, a table, a filter and a compare slider.

        Returns its absolute path. Images are embedded small enough that a thousand of them can still be mailed about.
        """
        from imagen_nb.frames.report import report

        return report(self._frame, path, title=title)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write a `.csv` (safe to open in a spreadsheet), a `.parquet`, or a folder that image datasets load.

        Returns the absolute path. `imagen_nb.read_log(path)` reads each of them back.
        """
        from imagen_nb.frames.export import export

        return export(self._frame, path)
