"""A panel's widgets as a person finds them: by what stands on them."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from ipywidgets import HTML  # type: ignore[import-untyped]  # it has no types


def walk(widget: Any) -> Iterator[Any]:
    """The widget and everything in it that is on show."""
    if widget.layout.display == "none" or widget.layout.visibility == "hidden":
        return
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


def labels(panel: Any) -> list[str]:
    """The labels of all controls on show, in order."""
    return [each.description for each in walk(panel) if getattr(each, "description", "")]


def control(panel: Any, label: str) -> Any:
    """The one control with this label, or whose label begins so: a button's may go on."""
    begun = [each for each in walk(panel) if getattr(each, "description", "").startswith(label)]
    found = [each for each in begun if each.description == label] or begun
    assert len(found) == 1, f"{label!r} is there {len(found)} times among {labels(panel)}"
    return found[0]


def of_kind(panel: Any, name: str) -> list[Any]:
    """Every widget on show whose class has this name."""
    return [each for each in walk(panel) if type(each).__name__ == name]


def text(panel: Any) -> str:
    """All that is written on it, without markup."""
    parts = [each.value for each in walk(panel) if isinstance(each, HTML)]
    plain = re.sub(r"<(style|script)>.*?</\1>|<[^>]+>", " ", " ".join(parts), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(plain))


def line_of(panel: Any, label: str) -> Any:
    """The line that stands below a control."""
    wanted = control(panel, label)
    return next(each.children[1] for each in walk(panel) if wanted in getattr(each, "children", ()))


def beside(panel: Any, label: str) -> str:
    """What is wrong with a control, as it is said below it; "" for nothing."""
    line = line_of(panel, label)
    return text(line).strip() if "inb-said" in line.value else ""


def until(ask: Callable[[], Any], *, timeout: float = 20.0) -> Any:
    """Ask again and again until the answer is a true one, and give it."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"it did not come true within {timeout:g} s")


def fill(shown: Any, **values: Any) -> None:
    """Set controls by their labels, an underscore standing for a space."""
    for label, value in values.items():
        control(shown, label.replace("_", " ")).value = value


def cards(shown: Any) -> list[str]:
    """What is written on each submission's card, the newest first."""
    return [text(each) for each in of_kind(shown, "HTML") if 'class="inb-submission"' in each.value]


def history(shown: Any) -> Any:
    """The gallery of a panel's earlier runs."""
    return next(each for each in of_kind(shown, "Gallery") if each.label == "Earlier runs")


def generate(shown: Any, prompt: str = "a red fox", **values: Any) -> None:
    """Set a prompt, and what else is given, and press Generate."""
    fill(shown, Prompt=prompt, **values)
    control(shown, "Generate").click()
