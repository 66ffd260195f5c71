"""Templates and their styles: files that stand on their own, filled with values and escaped.

Output in a notebook cell has to look right with inline styles alone, since JupyterLab strips style elements from
notebooks it does not trust. The templates say `class="…"` and link `assets/cells.css`, so each opens in a browser as
it stands; when a template is loaded, the link is dropped and each class becomes the declarations it names.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_RULE = re.compile(r"^\.([a-z0-9-]+)\s*\{([^{}]*)\}", re.MULTILINE)
_CLASS = re.compile(r' class="([a-z0-9 -]+)"(?: style="([^"]*)")?')
_LINK = '<link rel="stylesheet" href="../assets/cells.css">'
OWN = "imagen-nb"
"""Classes that begin so stay in the output: names by which pages and tests find it."""


def fill(name: str, **values: Any) -> str:
    """The template `name` with these values, every one of them escaped."""
    return _environment().get_template(name).render(values).strip()


def page(text: str, **values: Any) -> str:
    """A whole page from its own text rather than a file's, filled in the same way."""
    return _environment().from_string(text).render(values)


def style(name: str) -> str:
    """The declarations of one class of `cells.css`, for a class that is chosen while rendering."""
    return _rules()[name]


def asset(name: str) -> str:
    """The text of a file in `assets/`."""
    return _read("assets", name)


def source(name: str) -> str:
    """The text of a file in `templates/`, as it stands."""
    return _read("templates", name)


def fingerprint(text: str) -> str:
    """What a content security policy calls this script or style, so that it and nothing else may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def replace_once(text: str, mark: str, by: str) -> str:
    """The text with `mark` replaced; the mark must be there exactly once, or the template is broken."""
    if text.count(mark) != 1:
        raise RuntimeError(f"{mark!r} is in the template {text.count(mark)} times, not once")
    return text.replace(mark, by)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        autoescape=True,
        loader=FunctionLoader(lambda name: _inlined(source(name))),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["style"] = style
    return made


def _inlined(text: str) -> str:
    """The template with styles in place of classes, and without its indentation."""
    text = _CLASS.sub(_declared, text.replace(_LINK, ""))
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def _declared(found: re.Match[str]) -> str:
    names = found[1].split()
    kept = " ".join(name for name in names if name.startswith(OWN))
    rules = [_rules()[name] for name in names if not name.startswith(OWN)]
    declarations = ";".join([*rules, found[2]] if found[2] else rules)
    return (f' class="{kept}"' if kept else "") + (f' style="{declarations}"' if declarations else "")


@cache
def _rules() -> dict[str, str]:
    """Class name to declarations, without the spaces that would only make the notebook larger."""
    text = re.sub(r"/\*.*?\*/", "", asset("cells.css"), flags=re.DOTALL)
    return {name: _tight(body) for name, body in _RULE.findall(text)}


def _tight(body: str) -> str:
    declarations = (" ".join(part.split()) for part in body.split(";"))
    return ";".join(part.replace(": ", ":", 1) for part in declarations if part)


@cache
def _read(folder: str, name: str) -> str:
    return resources.files("imagen_nb.views").joinpath(folder).joinpath(name).read_text("utf-8")


# ----------------------------------------------------------------------------------------------------
# The panel's small pieces of HTML: Jinja2 templates in `assets/`, filled with escaped values.


def fill_widget(name: str, **values: Any) -> str:
    """The template `name` with these values, every one of them escaped."""
    return _widget_environment().get_template(name).render(values).strip()


@cache
def _widget_environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("imagen_nb.notebook", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
