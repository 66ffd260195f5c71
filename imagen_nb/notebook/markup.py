"""The panel's small pieces of HTML: Jinja2 templates in `assets/`, filled with escaped values."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def fill(name: str, **values: Any) -> str:
    """The template `name` with these values, every one of them escaped."""
    return _environment().get_template(name).render(values).strip()


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("imagen_nb.notebook", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
