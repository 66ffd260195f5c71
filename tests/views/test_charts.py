"""Estimates as lines: where they lie, what is clear of 0, and what is not known."""

from __future__ import annotations

import re

from imagen_nb.views.charts import render_intervals

NAN = float("nan")


def test_all_lines_lie_on_one_scale() -> None:
    """Also those of several parts: the widths of a line are the whole, and 0 is at the same place in each."""
    html = render_intervals("s", [("style", [("ink", 0.5, 0.1, 0.9)]), ("shape", [("tall", -2.0, -3.0, 1.0)])])
    tracks = re.findall(
        r'<div style="display:flex;align-items:center;height:22px">(.*?)</div>\n</div>', html, re.DOTALL
    )
    assert len(tracks) == 2
    zeros = []
    for track in tracks:
        boxes = re.findall(r'<div style="([^"]*)"', track)
        widths = [float(each[1]) if (each := re.search(r"width:([\d.]+)%", box)) else 0.0 for box in boxes]
        assert abs(sum(widths) - 100) < 0.1
        place = next(number for number, box in enumerate(boxes) if "width:2px" in box)
        zeros.append(round(sum(widths[:place])))
    assert zeros[0] == zeros[1] == 74


def test_what_is_clear_of_0_is_coloured_and_what_is_not_known_is_said() -> None:
    """An interval across 0 is grey; one without ends is a point; an estimate that there is none of has words."""
    bars = [("ink", 0.5, 0.1, 0.9), ("oil", 0.1, -0.2, 0.4), ("wash", 0.2, NAN, NAN), ("x" * 200, NAN, NAN, NAN)]
    html = render_intervals("ink <beats> oil.", [("", bars)], "12 votes")
    assert "ink &lt;beats&gt; oil." in html
    assert html.count("height:4px;background:#4682f0") == 2  # the mark parts it
    assert html.count("height:4px;background:rgba(128,128,128,.6)") == 3  # and so does 0
    assert html.count("width:10px") == 3
    for said in ("+0.50 (+0.10 to +0.90)", "+0.20<", "cannot be told", "x…", "12 votes"):
        assert said in html
    assert "-0.0030 (-0.0050 to +0.0000)" in render_intervals("s", [("", [("ink", -0.003, -0.005, -0.000001)])])
