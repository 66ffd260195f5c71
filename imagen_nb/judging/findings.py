"""A table of findings: what it says in words stands first, then a picture of its intervals, then the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from imagen_nb.views.charts import render_intervals

_WIDTH, _ROWS = 100, 60
"""How wide the table is in a terminal, in characters; more columns follow below. And how many rows it shows."""


class Findings(pd.DataFrame):
    """Findings as a table; its `.attrs` have the sentence, a note, and what is drawn. Parts of it are plain DataFrames.

    `bars` are, for each part of the picture, its name and its lines: a label, an estimate, and the interval's ends.
    """

    @property
    def sentence(self) -> str:
        """What it says, in words."""
        return str(self.attrs["sentence"])

    @property
    def html(self) -> str:
        """The sentence and the picture, without the table; with inline styles alone."""
        return render_intervals(self.sentence, self.attrs.get("bars", []), self.attrs.get("note"))

    def __repr__(self) -> str:
        told = [each for each in (self.sentence, self.attrs.get("note")) if each]
        if not self.empty:
            told += ["", self._rounded().to_string(line_width=_WIDTH, max_colwidth=40, max_rows=_ROWS)]
        return "\n".join(told)

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", 160):
            return f"{self.html}\n{'' if self.empty else self._rounded().to_html(max_rows=_ROWS, notebook=True)}"

    def _rounded(self) -> pd.DataFrame:
        """The table with three digits behind the point, or as many as its largest number needs to have three."""
        largest = float(self.plain.select_dtypes("float").abs().max().max())
        rounded: pd.DataFrame = self.plain.round(2 - min(-1, math.floor(math.log10(largest))) if largest > 0 else 3)
        return rounded

    @property
    def plain(self) -> pd.DataFrame:
        """The table alone."""
        table: pd.DataFrame = pd.DataFrame(self)
        return table

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame


def join_words(texts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
