"""The panel's form: what to ask for, made from the model's schema, checked and priced while it is filled in."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

from imagen_nb.errors import ImagenError, InputError
from imagen_nb.notebook.panel.draft import Draft, Entries, draft, settings_text, text_of, variables_of
from imagen_nb.planning.models import ModelSpec, ParamSpec, catalogue_names, check_model_name
from imagen_nb.views.pages import fill
from imagen_nb.views.words import count, dollars, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imagen_nb.records import Request
    from imagen_nb.workspace import Workspace

OTHER = "another model…"
REPEAT_MOST = 1000


class Form:
    """The controls, and the plan that they make; `submit(plan, experiment)` is called when Generate is pressed.

    Handlers may come on any thread, and return at once: what a model that is not known yet takes is asked for on a
    thread of its own. `namespace` gives the notebook's variables, for the slots of a prompt.
    """

    def __init__(
        self,
        workspace: Workspace,
        submit: Callable[[Any, str | None], None],
        *,
        namespace: Callable[[], Mapping[str, Any]],
        confirm_above: int | None,
    ) -> None:
        self._workspace = workspace
        self._submit = submit
        self._namespace = namespace
        self._confirm_above = confirm_above
        self._lock = threading.RLock()
        self._is_filling = False
        self._asking: set[str] = set()
        self._refused: dict[str, str] = {}
        self._fields: dict[str, Field] = {}
        self._spec: ModelSpec | None = None
        self._draft = Draft()
        self._judged_with: dict[str, Any] = {}
        self._notice = ""
        self._make_controls()
        self._follow_model()
        for control in self._plain_controls():
            control.observe(self._changed, "value")
        self._generate.on_click(self._pressed)
        self._judge()

    @property
    def draft(self) -> Draft:
        """What Generate would do, as the form stands."""
        return self._draft

    def load(self, request: Request) -> None:
        """Fill the form with an earlier request: its prompt, its model and its parameters."""
        with self._filling():
            self._prompt.value = text_of(request)
            self._vary.value = ""
            self._choose(request.model)
            others = {name: value for name, value in request.params.items() if name not in self._fields}
            for name, field in self._fields.items():
                field.put(request.params.get(name))
            self._others.value = settings_text(others)
            self._repeat.value = 1

    def offer_experiments(self, names: list[str]) -> None:
        """Complete the experiment's name from these."""
        if tuple(names) != tuple(self._experiment.options):
            self._experiment.options = names

    def look_again(self) -> None:
        """Judge anew where a variable that the prompt names was set, or has grown, since this was last done."""
        with self._lock:
            if variables_of(self._prompt.value, self._namespace()) != self._judged_with:
                self._judge()

    # -- what it is made of --------------------------------------------------------------------------------------

    def _make_controls(self) -> None:
        workspace = self._workspace
        self._prompt = w.Textarea(
            description="Prompt", placeholder="What should the image show? {red|blue} tries each.", rows=5
        )
        models = [*dict.fromkeys([workspace.model, *catalogue_names()])]
        self._model = w.Dropdown(description="Model", options=[*models, OTHER], value=workspace.model)
        self._named = w.Text(description="Model's name", placeholder="owner/name")
        self._vary = w.Text(description="Vary", placeholder="aspect_ratio=1:1|16:9; style=oil|ink")
        self._vary.tooltip = "Parameters or slots to try with several values: name=first|second; name=…"
        self._others = w.Text(description="Other inputs", placeholder="name=value; name=value")
        self._repeat = w.BoundedIntText(description="Repeats", value=1, min=1, max=REPEAT_MOST)
        self._repeat.tooltip = "How many predictions of each request"
        self._experiment = w.Combobox(description="Experiment", placeholder="none", ensure_option=False)
        self._experiment.tooltip = "Groups the runs in the log under this name"
        self._confirmed = w.Checkbox(description="Send them all", value=False, indent=False)
        self._generate = w.Button(description="Generate", button_style="primary", layout={"width": "auto"})
        self._generate.add_class("inb-generate")
        self._places = {name: message() for name in ("prompt", "model", "vary", "others", "confirm")}
        self._about = w.HTML()
        self._inputs = w.Box()
        self._inputs.add_class("inb-inputs")
        self.box = w.VBox(self._children())
        self.box.add_class("inb-form")

    def _children(self) -> list[Any]:
        for control in (*self._plain_controls(), self._about):
            control.add_class("inb-control")
        counts = w.Box([self._repeat, self._experiment])
        counts.add_class("inb-inputs")
        places = self._places
        return [
            *(self._prompt, places["prompt"], self._model, self._named, places["model"], self._about, self._inputs),
            *(self._others, places["others"], self._vary, places["vary"], counts),
            *(self._confirmed, places["confirm"], self._generate),
        ]

    def _plain_controls(self) -> list[Any]:
        """The controls that every model has."""
        return [
            *(self._prompt, self._model, self._named, self._vary, self._others),
            *(self._repeat, self._experiment, self._confirmed),
        ]

    # -- handlers ------------------------------------------------------------------------------------------------

    def _changed(self, change: Any) -> None:
        with self._lock:
            if change["owner"] in (self._model, self._named):
                self._follow_model()
            if change["owner"] not in (self._confirmed, self._experiment):
                self._confirmed.value = False
            self._judge()

    def _pressed(self, _: Any) -> None:
        """Send what the button says, and nothing else: a variable may have changed since it was written."""
        with self._lock:
            shown = self._draft.offer
            self._judge()
            if self._draft.offer != shown:
                self._notice = _not_sent(self._draft)
                self._say()
            elif self._draft.is_ready:
                self._submit(self._draft.plan, self._experiment.value.strip() or None)
                self._confirmed.value = False

    @contextmanager
    def _filling(self) -> Iterator[None]:
        """Judge once, after several controls were set."""
        with self._lock:
            self._is_filling = True
            try:
                yield
            finally:
                self._is_filling = False
                self._judge()

    # -- the model -----------------------------------------------------------------------------------------------

    @property
    def _model_name(self) -> str:
        return self._named.value.strip() if self._model.value == OTHER else str(self._model.value)

    def _choose(self, model: str) -> None:
        is_listed = model in self._model.options
        self._named.value = "" if is_listed else model
        self._model.value = model if is_listed else OTHER
        self._follow_model()

    def _follow_model(self) -> None:
        """Rebuild the inputs for the model chosen, and keep what still fits."""
        self._named.layout.display = None if self._model.value == OTHER else "none"
        spec = self._known(self._model_name)
        if spec is None or spec == self._spec:
            return  # the same inputs made anew would only make the page jump
        self._spec = spec
        kept = {name: field.given for name, field in self._fields.items() if not field.is_fresh and _is_good(field)}
        self._fields = {name: field_of(param) for name, param in spec.params.items() if name != "prompt"}
        for name in kept.keys() & self._fields.keys():
            self._fields[name].put(kept[name])
        for field in self._fields.values():
            field.control.observe(self._changed, "value")
        old = self._inputs.children
        self._inputs.children = [field.box for field in self._fields.values()]
        for box in old:
            close_all(box)
        self._others.layout.display = "none" if spec.is_strict else None
        self._about.value = fill("about.html", notes=_notes(spec))

    def _known(self, name: str) -> ModelSpec | None:
        """What is known of a model by now; what is not is asked for meanwhile, and said beside the control."""
        try:
            name = check_model_name(name)
        except InputError:
            return None
        spec = self._workspace.cached_spec(name)
        if spec is None and name not in self._asking:
            self._asking.add(name)
            self._refused.pop(name, None)
            threading.Thread(target=self._ask, args=(name,), name="imagen-panel-model", daemon=True).start()
        return spec

    def _ask(self, name: str) -> None:
        try:
            self._workspace.spec(name)
        except ImagenError as error:
            self._refused[name] = str(error)
        finally:
            with self._lock:
                self._asking.discard(name)
                if name == self._model_name and name not in self._refused:
                    self._follow_model()
                self._judge()

    # -- judging -------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        """Work out what Generate would do, and say it; nothing is sent by this."""
        if self._is_filling:
            return
        shown = self._draft.offer
        self._notice = ""
        self._judged_with = variables_of(self._prompt.value, self._namespace())
        self._draft = self._drafted()
        if self._confirmed.value and self._draft.offer != shown:
            self._confirmed.value = False  # another plan was confirmed; this judges once more
        self._say()

    def _drafted(self) -> Draft:
        problems = self._model_problems()
        entries, wrong = self._entries()
        if problems or wrong:
            return Draft(problems={**problems, **wrong})
        return draft(entries, self._workspace, namespace=self._namespace(), confirm_above=self._confirm_above)

    def _model_problems(self) -> dict[str, str]:
        """Why a model asked for cannot be used, or not yet."""
        for name in self._entries()[0].models:
            try:
                checked = check_model_name(name)
            except InputError as error:
                return {"model": str(error)}
            if checked in self._refused:
                return {"model": self._refused[checked]}
            if self._known(checked) is None:
                return {"model": f"Asking the provider what {checked} takes."}
        return {}

    def _entries(self) -> tuple[Entries, dict[str, str]]:
        params: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for name, field in self._fields.items():
            try:
                value = field.given
            except InputError as error:
                wrong[name] = str(error)
            else:
                params |= {} if value is None else {name: value}
        entries = Entries(
            prompt=self._prompt.value,
            model=self._model_name,
            params=params,
            vary=self._vary.value,
            others=self._others.value if self._others.layout.display is None else "",
            repeat=self._repeat.value,
            is_confirmed=self._confirmed.value,
        )
        return entries, wrong

    def _say(self) -> None:
        now = self._draft
        places = {**self._places, **{name: field.message for name, field in self._fields.items()}}
        for name, place in places.items():
            parts = [self._notice if name == "confirm" else "", now.problems.get(name, "")]
            said = "\n".join(filter(None, parts))
            say(place, said, is_alert=name != "prompt" or bool(self._prompt.value))
        _put(self._generate, "description", now.label)
        _put(self._generate, "disabled", not now.is_ready)
        _put(self._confirmed, "description", f"Send all {len(now.plan):,}" if now.plan else "Send them all")
        _put(self._confirmed.layout, "display", None if now.needs_yes else "none")


def say(place: w.HTML, text: str | None, *, is_alert: bool = True) -> None:
    """Put a message where it belongs, or take it away."""
    _put(place, "value", fill("message.html", lines=text.splitlines(), is_alert=is_alert) if text else "")
    _put(place.layout, "display", None if text else "none")


def _put(widget: Any, trait: str, value: Any) -> None:
    """Set a trait where it differs, so that no message is sent for nothing."""
    if getattr(widget, trait) != value:
        setattr(widget, trait, value)


def _not_sent(now: Draft) -> str:
    """Why a press sent nothing, where the plan is no longer the one that the button named."""
    if now.plan is None:
        return "Nothing was sent: what the prompt names has changed."
    cost = f", about {dollars(now.plan.cost)}" if now.plan.cost is not None else ""
    many = count(len(now.plan), "request")
    following = " Generate sends that." if now.is_ready else ""
    return f"Nothing was sent: what the prompt names has changed, and it is now {many}{cost}.{following}"


def _notes(spec: ModelSpec) -> list[str]:
    """What a person should know of the model before pressing Generate."""
    if not spec.is_validated:
        return ["No schema is known: inputs are sent as given, unchecked, and the price is unknown."]
    price = f"{dollars(spec.price)} an image" if spec.price is not None else "price unknown"
    typical = f"about {seconds(spec.typical_s)}" if spec.typical_s else ""
    partial = "more inputs may exist" if spec.is_partial else ""
    return [part for part in (price, typical, partial) if part]


def _is_good(field: Field) -> bool:
    try:
        return field.given is not None
    except InputError:
        return False


# ----------------------------------------------------------------------------------------------------
# One control of the panel for each input of a model, made from its schema: choices, limits, default, help.

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
