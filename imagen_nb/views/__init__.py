"""Values in, text out: what runs, sweeps, plans and comparisons look like in a cell, a terminal and a report.

Each view is imported when it is first used, since a panel or a card needs few of them and is to be there at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagen_nb.views.cards import card, gallery, image_alone, runs
    from imagen_nb.views.matrix import Facet, Grid, GridRow, grid
    from imagen_nb.views.pairs import Change, Difference, comparison
    from imagen_nb.views.pictures import Link, Thumb, below, data_uri
    from imagen_nb.views.plans import plan
    from imagen_nb.views.progress import LiveTile, live, live_tile
    from imagen_nb.views.reports import Axes, report

_ROOMS = {
    "cards": ("card", "gallery", "image_alone", "runs"),
    "matrix": ("Facet", "Grid", "GridRow", "grid"),
    "pairs": ("Change", "Difference", "comparison"),
    "pictures": ("Link", "Thumb", "below", "data_uri"),
    "plans": ("plan",),
    "progress": ("LiveTile", "live", "live_tile"),
    "reports": ("Axes", "report"),
}
_HOMES = {name: f"imagen_nb.views.{room}" for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Axes",
    "Change",
    "Difference",
    "Facet",
    "Grid",
    "GridRow",
    "Link",
    "LiveTile",
    "Thumb",
    "below",
    "card",
    "comparison",
    "data_uri",
    "gallery",
    "grid",
    "image_alone",
    "live",
    "live_tile",
    "plan",
    "report",
    "runs",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'imagen_nb.views' has no attribute {name!r}")
