"""A request written back as the `%%imagen` cell that makes it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagen_nb.core.records import Request


def cell_text(request: Request) -> str:
    """The cell: its options on the first line, the prompt below it exactly as it was sent."""
    options = ["%%imagen", "-m", request.model]
    for name, value in request.params.items():
        options += ["-p", f"{name}={_option_value(value)}"]
    if "{" in request.prompt or "}" in request.prompt:
        options.append("--raw")
    return " ".join(options) + "\n" + request.prompt


def _option_value(value: Any) -> str:
    """The value as one word of a magic line: text as it is where it can be, else quoted as JSON does."""
    text = value if isinstance(value, str) else json.dumps(value)
    plain = text and not any(mark.isspace() or mark in "\"',|" for mark in text)
    return text if plain else json.dumps(text)
