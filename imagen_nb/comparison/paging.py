"""Which page of a long list is asked for, and which there are."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

from imagen_nb.core.words import shortened
from imagen_nb.errors import InputError


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a long list. `number` counts from 1."""

    number: int
    of: int

    @property
    def hint(self) -> str:
        """How to see the next one, or the first again."""
        return f"page={self.number + 1 if self.number < self.of else 1}"


def page_of(number: Any, count: int) -> Page:
    """The page with this number. Raises `InputError` where there is none."""
    wanted = _whole("page", number)
    if not 1 <= wanted <= max(count, 1):
        raise InputError(f"there is no page {wanted}", f"Pages run from 1 to {max(count, 1)}.")
    return Page(wanted, max(count, 1))


def size_of(per_page: Any) -> int:
    """How many a page is to hold. Raises `InputError` for what is no number of 1 or more."""
    size = _whole("per_page", per_page)
    if size < 1:
        raise InputError(f"per_page={size} shows nothing", "Give a number of 1 or more.")
    return size


def pages_in(count: int, per_page: int) -> int:
    """How many pages so many things fill."""
    return math.ceil(count / per_page)


def _whole(name: str, given: Any) -> int:
    try:
        return operator.index(given)
    except TypeError:
        raise InputError(
            f"{name} cannot be {shortened(given)}; allowed: a whole number of 1 or more", f"As in {name}=2."
        ) from None
