from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from markup import Markup

from imagen_nb.errors import InputError


def test_a_report_of_any_frame_is_one_file(log: pd.DataFrame, tmp_path: Path) -> None:
    """Every run is in it, with its image inside, under the experiment's name, opened on the axes that vary."""
    path = log.imagen.report(tmp_path / "new" / "report.html")
    page = Markup.of(path.read_text("utf-8"))
    assert page.tags.count("article") == 16
    assert sum(source.startswith("data:image/webp;base64,") for source in page.attributes("src")) == 15
    assert "animals" in page.text
    chosen = [attrs["value"] for tag, attrs in page.elements if tag == "option" and "selected" in attrs]
    assert chosen == ["animal", "style", "aspect_ratio"]
    assert str(tmp_path) not in path.read_text("utf-8")


def test_a_title_can_be_given(log: pd.DataFrame, tmp_path: Path) -> None:
    """The title is the reader's, as text."""
    path = log.imagen.report(tmp_path / "report.html", title="Foxes <& owls>")
    assert "<h1>Foxes &lt;&amp; owls&gt;</h1>" in path.read_text("utf-8")
    assert "<title>Image runs</title>" in log.assign(experiment=None).imagen.report(path).read_text("utf-8")


def test_only_an_html_file_is_a_report(log: pd.DataFrame, tmp_path: Path) -> None:
    """Another ending is a mistake, named before anything is written."""
    with pytest.raises(InputError, match=re.escape("'report.pdf' is not one")):
        log.imagen.report(tmp_path / "report.pdf")
    assert not (tmp_path / "report.pdf").exists()


def test_a_report_knows_the_order_of_its_axes(log: pd.DataFrame, tmp_path: Path) -> None:
    """Values with an order of their own are in it in that order; those that stand as they appear cost nothing."""
    days = pd.to_datetime(["2025-03-02", "2025-03-01", None, "2025-03-03"] * 4)
    styles = pd.Categorical(log["style"], ["wax", "ink", "oil"], ordered=True)
    path = log.assign(style=styles, day=days).imagen.report(tmp_path / "report.html")
    orders = json.loads(Markup.of(path.read_text("utf-8")).attributes("data-orders")[0])
    assert orders == {"style": ["ink", "oil"], "day": [f"2025-03-0{n} 00:00:00" for n in (1, 2, 3)]}


def test_a_slot_may_be_called_like_a_column_of_the_report(log: pd.DataFrame, tmp_path: Path) -> None:
    """A slot named `cost` or `seconds` is shown as the text it is, beside the column of that name."""
    renamed = log.rename(columns={"animal": "cost", "style": "seconds"})
    page = Markup.of(renamed.imagen.report(tmp_path / "report.html").read_text("utf-8"))
    assert page.tags.count("article") == 16
    assert "fox" in page.text
    assert "ink" in page.text
