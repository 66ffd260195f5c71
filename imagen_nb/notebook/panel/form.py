"""The panel's form: what to ask for, made from the model's schema, checked and priced while it is filled in."""

from __future__ import annotations

import json
import statistics
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets as w  # type: ignore[import-untyped]  # it has no types

from imagen_nb.errors import ImagenError, InputError, encodable
from imagen_nb.notebook.panel.files import FileField
from imagen_nb.notebook.panel.form_plan import (
    FormPlan,
    FormValues,
    other_inputs_text,
    plan_form,
    prompt_text,
    variable_marks,
)
from imagen_nb.planning.inputs import ParamSpec
from imagen_nb.planning.models import ModelSpec, check_model_name
from imagen_nb.views.pages import fill
from imagen_nb.views.words import dot_list, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imagen_nb.planning.plan import Plan
    from imagen_nb.records import Request, Run
    from imagen_nb.workspace import Workspace

OTHER = "another model…"
REPEAT_MOST = 1000
WHOLE_MOST = 2**31 - 1
HINTS = {
    "prompt": "{red|blue} tries each; {name} takes a variable of the notebook.",
    "model": "",
    "named": "As the provider writes it: owner/name.",
    "vary": "Parameters or slots with several values: name=first|second; name=…",
    "others": "Inputs that have no control here: name=value; name=…",
    "repeat": "Predictions of each request.",
    "experiment": "Groups the runs in the log.",
    "confirm": "",
}
"""What the controls are for, in their order of making."""

UNSET = ("the model's own", "")
"""The choice of saying nothing; a dropdown shows nothing at all for None."""


class Form:
    """The controls, and the plan that they make; `on_submit(plan, experiment)` is called when Generate is pressed.

    Handlers may come on any thread, and return at once: what a model that is not known yet takes is asked for on a
    thread of its own. `namespace` gives the notebook's variables, for the slots of a prompt, `picked` the run whose
    picture an input may take.
    """

    def __init__(
        self,
        workspace: Workspace,
        on_submit: Callable[[Plan, str | None], None],
        *,
        namespace: Callable[[], Mapping[str, Any]],
        confirm_above: int | None,
        picked: Callable[[], Run | None] = lambda: None,
    ) -> None:
        self._workspace = workspace
        self._picked = picked
        self._on_submit = on_submit
        self._namespace = namespace
        self._confirm_above = confirm_above
        self._lock = threading.RLock()
        self._is_loading = False
        self._asking: set[str] = set()
        self._refusals: dict[str, str] = {}
        self._fields: dict[str, Field] = {}
        self._spec: ModelSpec | None = None
        self._current = FormPlan()
        self._variables: dict[str, Any] = {}
        self._notice = ""
        self._is_usable = True
        self._make_controls()
        self._follow_model()
        for control in self._plain_controls:
            control.observe(self._on_change, "value")
        self._generate.on_click(self._on_generate)
        self._check()

    def load(self, request: Request) -> None:
        """Fill the form with an earlier request: its prompt, its model and its parameters."""
        with self._check_once():
            self._prompt.value = encodable(prompt_text(request))
            self._vary.value = ""
            is_listed = request.model in self._model.options
            self._named.value = "" if is_listed else request.model
            self._model.value = request.model if is_listed else OTHER
            self._follow_model()
            for name, field in self._fields.items():
                field.put(request.params.get(name))
            others = {name: value for name, value in request.params.items() if name not in self._fields}
            self._others.value = encodable(other_inputs_text(others))
            self._repeat.value = 1

    def offer_experiments(self, names: list[str]) -> None:
        """Complete the experiment's name from these."""
        if tuple(map(encodable, names)) != tuple(self._experiment.options):
            self._experiment.options = [encodable(name) for name in names]

    def allow(self, *, is_usable: bool) -> None:
        """Let Generate be pressed, or not: where the log is gone, nothing can be sent."""
        with self._lock:
            if self._is_usable != is_usable:
                self._is_usable = is_usable
                self._show_check()

    def show_latency(self, latencies: Sequence[float]) -> None:
        """Say how long the chosen model takes, from what its last runs here took, in seconds."""
        with self._lock:
            median = statistics.median(latencies) if latencies else None
            if self._spec is not None:
                self._places["model"].hint = dot_list(model_notes(self._spec, self._workspace, median))
                self._show_check()

    def follow_variables(self) -> None:
        """Check anew where a variable that the prompt names was set, or has grown, since this was last done."""
        with self._lock:
            if variable_marks(self._prompt.value, self._namespace()) != self._variables:
                self._check()

    def _make_controls(self) -> None:
        models = self._workspace.model_names
        self._prompt = w.Textarea(description="Prompt", placeholder="What should the image show?", rows=5)
        self._model = w.Dropdown(description="Model", options=[*models, OTHER], value=self._workspace.model)
        self._named = w.Text(description="Model's name", placeholder="owner/name", continuous_update=False)
        self._vary = w.Text(description="Vary", placeholder="aspect_ratio=1:1|16:9; style=oil|ink")
        self._others = w.Text(description="Other inputs", placeholder="name=value; name=value")
        self._repeat = w.BoundedIntText(description="Repeats", value=1, min=1, max=REPEAT_MOST)
        self._experiment = w.Combobox(description="Experiment", placeholder="none", ensure_option=False)
        self._confirm = w.Checkbox(description="Send them all", value=False, indent=False)
        self._generate = w.Button(description="Generate", button_style="primary", layout={"width": "auto"})
        self._generate.add_class("inb-generate")
        self._prompt.add_class("inb-at-prompt")
        self._vary.add_class("inb-at-vary")
        self._plain_controls = [
            *(self._prompt, self._model, self._named, self._vary, self._others),
            *(self._repeat, self._experiment, self._confirm),
        ]
        self._inputs = w.Box()
        fields = {name: make_box(getattr(self, f"_{name}"), hint) for name, hint in HINTS.items()}
        self._boxes = {name: box for name, (box, _) in fields.items()}
        self._places = {name: place for name, (_, place) in fields.items()}
        counts = w.Box([self._boxes["repeat"], self._boxes["experiment"]])
        for box in (self._inputs, counts):
            box.add_class("inb-inputs")
        upper = [self._boxes[name] for name in ("prompt", "model", "named")]
        lower = [self._boxes[name] for name in ("others", "vary")]
        self.box = w.VBox([*upper, self._inputs, *lower, counts, self._boxes["confirm"], self._generate])
        self.box.add_class("inb-form")

    # -- handlers ------------------------------------------------------------------------------------------------

    def _on_change(self, change: Any) -> None:
        with self._lock:
            if change["owner"] in (self._model, self._named):
                self._follow_model()
            if change["owner"] not in (self._confirm, self._experiment):
                self._confirm.value = False
            self._check()

    def _on_generate(self, _: Any) -> None:
        """Send what the button says, and nothing else: a variable may have changed since it was written."""
        with self._lock:
            shown = self._current.consent
            self._check()
            if self._current.consent != shown:
                self._notice = self._current.change_notice
                self._show_check()
            elif self._current.plan is not None and self._current.is_ready:
                self._on_submit(self._current.plan, self._experiment.value.strip() or None)
                self._confirm.value = False

    # -- the model -----------------------------------------------------------------------------------------------

    @property
    def model_name(self) -> str:
        """The model chosen, "" where none is named yet."""
        return self._named.value.strip() if self._model.value == OTHER else str(self._model.value)

    def _follow_model(self) -> None:
        """Rebuild the inputs for the model chosen, and keep what still fits."""
        set_trait(self._boxes["named"].layout, "display", None if self._model.value == OTHER else "none")
        spec = self._find_spec(self.model_name)
        if spec is None or spec == self._spec:
            return  # the same inputs made anew would only make the page jump
        self._spec = spec
        before, self._fields = self._fields, {}
        for name, param in spec.params.items():
            if name == "prompt":
                continue
            file = FileField(param, self._workspace, self._picked) if param.is_file else None
            self._fields[name] = field = make_field(param, file)
            with suppress(InputError):
                if name in before and (value := before[name].read()) is not None:
                    field.put(value)
            field.control.observe(self._on_change, "value")
        old = self._inputs.children
        self._inputs.children = [field.box for field in self._fields.values()]
        for box in old:
            close_all(box)
        set_trait(self._boxes["others"].layout, "display", "none" if spec.is_strict else None)
        self._places["model"].hint = dot_list(model_notes(spec, self._workspace))

    def _find_spec(self, name: str) -> ModelSpec | None:
        """What is known of a model by now; what is not is asked for meanwhile, and said beside the control."""
        try:
            name = check_model_name(name)
        except InputError:
            return None
        spec = self._workspace.peek_spec(name)
        if spec is None and name not in self._asking:
            self._asking.add(name)
            self._refusals.pop(name, None)
            threading.Thread(target=self._ask_provider, args=(name,), name="imagen-panel-model", daemon=True).start()
        return spec

    def _ask_provider(self, name: str) -> None:
        try:
            self._workspace.spec(name)
        except ImagenError as error:
            self._refusals[name] = str(error)
        finally:
            with self._lock:
                self._asking.discard(name)
                if name == self.model_name and name not in self._refusals:
                    self._follow_model()
                self._check()

    # -- what Generate would do ----------------------------------------------------------------------------------

    @contextmanager
    def _check_once(self) -> Iterator[None]:
        """Check once, after several controls were set."""
        with self._lock:
            self._is_loading = True
            try:
                yield
            finally:
                self._is_loading = False
                self._check()

    def _check(self) -> None:
        """Work out what Generate would do, and say it; nothing is sent by this."""
        if self._is_loading:
            return
        shown = self._current.consent
        self._notice = ""
        self._variables = variable_marks(self._prompt.value, self._namespace())
        values, problems = self._read_controls()
        problems |= self._model_problem(values)
        if problems:
            self._current = FormPlan(problems=problems)
        else:
            namespace = self._namespace()
            self._current = plan_form(values, self._workspace, namespace=namespace, confirm_above=self._confirm_above)
        if self._confirm.value and self._current.consent != shown:
            self._confirm.value = False  # another plan was confirmed; this checks once more
        self._show_check()

    def _read_controls(self) -> tuple[FormValues, dict[str, str]]:
        """What stands in the form, and what cannot be meant, by the inputs."""
        params: dict[str, Any] = {}
        problems: dict[str, str] = {}
        for name, field in self._fields.items():
            try:
                value = field.read()
            except InputError as error:
                problems[name] = str(error)
            else:
                params |= {} if value is None else {name: value}
        values = FormValues(
            prompt=self._prompt.value,
            model=self.model_name,
            params=params,
            vary=self._vary.value,
            others="" if self._spec is not None and self._spec.is_strict else self._others.value,
            repeat=self._repeat.value,
            is_confirmed=self._confirm.value,
        )
        return values, problems

    def _model_problem(self, values: FormValues) -> dict[str, str]:
        """Why a model asked for cannot be used, or not yet."""
        for name in values.models:
            try:
                checked = check_model_name(name)
            except InputError as error:
                return {"model": str(error)}
            if checked in self._refusals:
                return {"model": self._refusals[checked]}
            if self._find_spec(checked) is None or checked in self._asking:
                return {"model": f"Asking the provider what {checked} takes."}
        return {}

    def _show_check(self) -> None:
        now = self._current
        problems = dict(now.problems)
        if self._model.value == OTHER and "model" in problems:
            said = problems.pop("model")
            problems["named"] = said if self.model_name else ""  # not before one types
        if self._notice:
            problems["confirm"] = "\n".join(filter(None, [self._notice, problems.get("confirm", "")]))
        for name, place in {**self._places, **{name: field.message for name, field in self._fields.items()}}.items():
            place.say(problems.get(name, ""), is_alert=name != "prompt" or bool(self._prompt.value))
        set_trait(self._generate, "description", now.label)
        set_trait(self._generate, "disabled", not (now.is_ready and self._is_usable))
        set_trait(self._confirm, "description", f"Send all {len(now.plan):,}" if now.plan else "Send them all")
        set_trait(self._confirm, "disabled", not now.needs_yes)
        has_say = now.needs_yes or bool(self._notice)
        set_trait(self._boxes["confirm"].layout, "visibility", None if has_say else "hidden")


def model_notes(spec: ModelSpec, workspace: Workspace, latency: float | None = None) -> list[str]:
    """What a person should know of the model before pressing Generate; `latency` is what it took here, in seconds."""
    if workspace.settings.provider.is_simulator:
        notes, typical = ["simulated"], latency
    else:
        notes = [spec.retirement[0]] if spec.retirement else []
        notes.append("price unknown" if spec.price is None else spec.price.words)
        typical = latency or spec.typical_s
    if not spec.is_validated:
        return ["No schema is known: inputs are sent as given, unchecked, and the price is unknown."]
    partial = "more inputs may exist" if spec.is_partial else ""
    return [*notes, f"about {seconds(typical)}" if typical else "", partial]


# -- one control for each input of a model, made from its schema -----------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A control with the place for its message. `param` is the input it stands for."""

    param: ParamSpec
    control: Any
    message: Message
    box: w.VBox
    file: FileField | None = None

    def read(self) -> Any:
        """The value to send, or None where it is the model's own. Raises `InputError` for one that is not allowed."""
        if self.file is not None:
            return self.file.read()
        value = self.control.value
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        made = self.param.parse(value) if isinstance(value, str) else self.param.coerce(value)
        return None if made == self.param.default else made

    def put(self, value: Any) -> None:
        """Set the control to a value of the log, None for the model's own; one that the model does not take is not."""
        if self.file is not None:
            self.file.put(value)
            return
        try:
            made = self.param.default if value is None else self.param.coerce(value)
        except InputError:
            return
        is_text = isinstance(self.control, w.Text)
        self.control.value = "" if made is None else encodable(json_text(made)) if is_text else made
        if is_text and isinstance(made, str) and self.read() not in (made, None):
            # Else it would be read as what it spells.
            self.control.value = encodable(json.dumps(made, ensure_ascii=False))


def make_field(param: ParamSpec, file: FileField | None = None) -> Field:
    """The control for one input, with the schema's choices, limits, default and help."""
    control = file.control if file else make_control(param)
    control.description = label_of(param.name)
    default = "" if param.default is None else f"Default: {json_text(param.default)}."
    allowed = "" if param.enum is not None or param.type == "boolean" else f"Allowed: {param.allowed}."
    box, place = make_box(control, " ".join(filter(None, [param.description.strip(), allowed, default])))
    if file is not None:
        box.children = [*box.children, *file.parts]
        box.add_class("inb-wide")
    return Field(param, control, place, box, file)


def make_control(param: ParamSpec) -> Any:
    """A dropdown, a checkbox, a number or a text; a limit that a number lacks is one that no model reaches."""
    default = param.default
    if param.enum is not None:
        default = default if default in param.enum else None
        unset = [UNSET] if default is None else []
        options = unset + [(json_text(value), value) for value in param.enum]
        return w.Dropdown(options=options, value="" if default is None else default)
    if param.type == "boolean" and default is None:
        return w.Dropdown(options=[UNSET, ("yes", True), ("no", False)], value="")
    if param.type == "boolean":
        return w.Checkbox(value=default, indent=False)
    if param.type in ("integer", "number") and default is not None:
        low = -WHOLE_MOST if param.minimum is None else param.minimum
        high = WHOLE_MOST if param.maximum is None else param.maximum
        if param.type == "integer":
            return w.BoundedIntText(value=default, min=int(low), max=int(high))
        # hundredths of the range, as a power of ten
        step = next((step for step in (0.01, 0.1) if high - low <= step * 200), 1.0)
        return w.BoundedFloatText(value=default, min=low, max=high, step=step)
    placeholder = "not set" if default is None else json_text(default)
    return w.Text(value="" if default is None else json_text(default), placeholder=placeholder)


def label_of(name: str) -> str:
    """`aspect_ratio` as a person reads it: `Aspect ratio`."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def json_text(value: Any) -> str:
    """Text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# -- what all parts of the panel do with widgets ---------------------------------------------------------------------


class Message(w.HTML):  # type: ignore[misc] # ipywidgets has no types
    """A line beside a control: its help, `hint`, and in its place what is wrong, so that nothing moves.

    Without a `hint` (None) it takes room only while it says something.
    """

    def __init__(self, hint: str | None = None) -> None:
        super().__init__()
        self.hint = hint
        self.add_class("inb-message")
        self.say("")

    def say(self, text: str, *, is_alert: bool = True) -> None:
        """Say what is wrong; "" for nothing."""
        role = "alert" if is_alert else "note"
        markup = fill("message.html", lines=(text or self.hint or "").splitlines(), role=role if text else "")
        set_trait(self, "value", markup if text or self.hint else "")
        set_trait(self.layout, "display", "none" if not text and self.hint is None else None)


def make_box(control: Any, hint: str) -> tuple[w.VBox, Message]:
    """A control over the line that says what it is for."""
    control.add_class("inb-control")
    place = Message(hint)
    box = w.VBox([control, place])
    box.add_class("inb-field")
    return box, place


def set_trait(widget: Any, trait: str, value: Any) -> None:
    """Set a trait where it differs, so that no message is sent for nothing."""
    if getattr(widget, trait) != value:
        setattr(widget, trait, value)


def close_all(widget: Any) -> None:
    """Close a widget with all that is in it, so that neither kernel nor page keeps any of it."""
    for child in getattr(widget, "children", ()):
        close_all(child)
    for part in (getattr(widget, "style", None), widget.layout, widget):
        if isinstance(part, w.Widget):
            part.close()
