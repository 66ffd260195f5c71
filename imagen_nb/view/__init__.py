"""Values in, text out: what runs, sweeps, plans and comparisons look like in a cell, a terminal and a report."""

from imagen_nb.view.cards import card, gallery, image_alone, runs
from imagen_nb.view.matrix import Facet, Grid, GridRow, grid
from imagen_nb.view.pairs import Change, Difference, comparison
from imagen_nb.view.pictures import Link, Thumb, below, data_uri
from imagen_nb.view.plans import plan
from imagen_nb.view.progress import LiveTile, live, live_tile
from imagen_nb.view.reports import Axes, report

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
