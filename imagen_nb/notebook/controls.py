"""One control of the panel for each input of a model, made from its schema: choices, limits, default, help."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

from imagen_nb.core.models import ParamSpec
from imagen_nb.errors import InputError

WHOLE_MOST = 2**31 - 1
UNSET = ("the model's own", "")
"""The choice of saying nothing; a dropdown shows nothing at all for None."""


def label_of(name: str) -> str:
    """`aspect_ratio` as a person reads it: `Aspect ratio`."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def message() -> w.HTML:
    """A place for a message beside a control, empty at first."""
    place = w.HTML("", layout={"display": "none"})
    place.add_class("inb-message")
    return place


def close_all(widget: Any) -> None:
    """Close a widget with all that is in it, so that neither kernel nor page keeps any of it."""
    for child in getattr(widget, "children", ()):
        close_all(child)
    for part in (getattr(widget, "style", None), widget.layout, widget):
        if isinstance(part, w.Widget):
            part.close()


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A control with the place for its message. `param` is the input it stands for."""

    param: ParamSpec
    control: Any
    message: w.HTML
    box: w.VBox

    @property
    def given(self) -> Any:
        """The value to send, or None where it is the model's own; raises `InputError` for one that is not allowed."""
        value = self.control.value
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        made = self.param.parse(value) if isinstance(value, str) else self.param.coerce(value)
        return None if made == self.param.default else made

    @property
    def is_fresh(self) -> bool:
        """Whether it stands as the schema left it."""
        try:
            return self.given is None
        except InputError:
            return False

    def put(self, value: Any) -> bool:
        """Set the control to a value of the log, None for the model's own; whether the model takes it."""
        try:
            made = self.param.default if value is None else self.param.coerce(value)
        except InputError:
            return False
        self.control.value = _for_control(self.control, made)
        if isinstance(made, str) and isinstance(self.control, w.Text) and self.given not in (made, None):
            self.control.value = json.dumps(made, ensure_ascii=False)  # else it would be read as what it spells
        return True


def field_of(param: ParamSpec) -> Field:
    """The control for one input."""
    control = _control(param)
    control.description = label_of(param.name)
    control.tooltip = _help(param)
    control.add_class("inb-control")
    place = message()
    box = w.VBox([control, place])
    box.add_class("inb-field")
    return Field(param, control, place, box)


def _help(param: ParamSpec) -> str:
    default = "" if param.default is None else f"Default: {_text(param.default)}."
    parts = [param.description.strip(), f"Allowed: {param.allowed}.", default]
    return "\n".join(part for part in parts if part)


def _control(param: ParamSpec) -> Any:
    if param.enum is not None:
        default = param.default if param.default in param.enum else None
        unset = [UNSET] if default is None else []
        options = unset + [(_text(value), value) for value in param.enum]
        return w.Dropdown(options=options, value="" if default is None else default)
    if param.type == "boolean":
        if param.default is None:
            return w.Dropdown(options=[UNSET, ("yes", True), ("no", False)], value="")
        return w.Checkbox(value=param.default, indent=False)
    if param.type in ("integer", "number") and param.default is not None:
        return _number(param)
    placeholder = "not set" if param.default is None else _text(param.default)
    return w.Text(value="" if param.default is None else _text(param.default), placeholder=placeholder)


def _number(param: ParamSpec) -> Any:
    """A number input with the schema's limits; a limit it lacks is one that no model reaches."""
    low = -WHOLE_MOST if param.minimum is None else param.minimum
    high = WHOLE_MOST if param.maximum is None else param.maximum
    if param.type == "integer":
        return w.BoundedIntText(value=param.default, min=int(low), max=int(high))
    return w.BoundedFloatText(value=param.default, min=low, max=high, step=_step(low, high))


def _step(low: float, high: float) -> float:
    """A step of the arrows that fits the range: hundredths of it, as a power of ten, between 0.01 and 1."""
    return next((step for step in (0.01, 0.1) if high - low <= step * 200), 1.0)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _for_control(control: Any, value: Any) -> Any:
    if value is None:
        return ""
    return _text(value) if isinstance(control, w.Text) else value
