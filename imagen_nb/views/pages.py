"""Templates and their styles: files that stand on their own, filled with values and escaped.

Output in a notebook cell has to look right with inline styles alone, since JupyterLab strips style elements from
notebooks it does not trust. The templates of cells say `class="…"` and link `assets/cells.css`, so each opens in a
browser as it stands; when such a template is loaded, the link is dropped and each class becomes the declarations it
names. A link to any other style or script becomes the text of that file, so that the page needs nothing beside it; in
cells these do more where they may, and nothing is lost without them. The panel's templates, which bring their style
sheet as a widget, link nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import readable

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDERS = ("views/templates", "notebook/assets")
"""Where templates lie in the package. No two have the same name."""

OWN = "imagen-nb"
"""Classes that begin so stay in the output: names by which pages and tests find it."""

_NO_MATHS = "mathjax_ignore tex2jax_ignore"
"""Classes within which front ends leave text as it is; elsewhere they typeset what stands between two dollar signs."""

_CELLS = '<link rel="stylesheet" href="../assets/cells.css">'
_STYLE = re.compile(r'<link rel="stylesheet" href="\.\./assets/([a-z]+\.css)">')
_SCRIPT = re.compile(r'<script src="\.\./assets/([a-z]+\.js)"></script>')
_RULE = re.compile(r"^\.([a-z0-9-]+)\s*\{([^{}]*)\}", re.MULTILINE)
_REMARK = re.compile(r"^\s*(?://[^\n]*\n\s*)*|/\*.*?\*/\s*", re.MULTILINE | re.DOTALL)
_OPENS = 'class="imagen-nb-open"'
_CLASS = re.compile(r' class="([a-z0-9 -]+)"(?: style="([^"]*)")?')


def fill(name: str, **values: Any) -> str:
    """The template `name` with these values, every one of them readable and escaped.

    Where it has links to originals, the script that opens them in the large view comes with it.
    """
    text = _environment().get_template(name).render(values).strip()
    text = re.sub(rf'^<div class="{OWN}[a-z-]*', rf"\g<0> {_NO_MATHS}", text)
    return f"{text}\n<script>{_brief_asset('originals.js')}</script>" if _OPENS in text else text


@cache
def asset(name: str) -> str:
    """The text of a file in `assets/`."""
    return resources.files("imagen_nb").joinpath(f"views/assets/{name}").read_text("utf-8")


@cache
def cell_styles() -> Mapping[str, str]:
    """The classes of `cells.css` with their declarations, without the spaces that would make a notebook larger."""
    text = re.sub(r"/\*.*?\*/", "", asset("cells.css"), flags=re.DOTALL)
    rules = {name: [" ".join(part.split()) for part in body.split(";")] for name, body in _RULE.findall(text)}
    return {name: ";".join(part.replace(": ", ":", 1) for part in parts if part) for name, parts in rules.items()}


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        autoescape=True,
        loader=FunctionLoader(_load),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_readable_value,
    )
    made.globals["style"] = cell_styles().__getitem__  # for a class that is chosen while rendering
    return made


def _readable_value(value: Any) -> Any:
    """A value on its way into a page; what macros made of values (markup, a kind of text) is there already."""
    return readable(value) if type(value) is str else value


def _load(name: str) -> str | None:
    """The text of a template with its links resolved; None where no folder has it."""
    places = [resources.files("imagen_nb").joinpath(f"{folder}/{name}") for folder in FOLDERS]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        return None
    text = found.read_text("utf-8")
    is_cell = _CELLS in text
    if is_cell:
        text = _CLASS.sub(_declare, text.replace(_CELLS, ""))
        text = "\n".join(line.strip() for line in text.splitlines() if line.strip())
    read = _brief_asset if is_cell else asset
    text = _STYLE.sub(lambda link: f"<style>{{% raw %}}{read(link[1])}{{% endraw %}}</style>", text)
    return _SCRIPT.sub(lambda link: f"<script>{{% raw %}}{read(link[1])}{{% endraw %}}</script>", text)


@cache
def _brief_asset(name: str) -> str:
    """The text of a file in `assets/` without indents and remarks, since each cell has a copy of its own."""
    return _REMARK.sub("", asset(name))


def _declare(found: re.Match[str]) -> str:
    """A style attribute in place of a class attribute, but for the classes that stay."""
    names = found[1].split()
    kept = " ".join(name for name in names if name.startswith(OWN))
    rules = [cell_styles()[name] for name in names if not name.startswith(OWN)]
    declarations = ";".join([*rules, found[2]] if found[2] else rules)
    return (f' class="{kept}"' if kept else "") + (f' style="{declarations}"' if declarations else "")
