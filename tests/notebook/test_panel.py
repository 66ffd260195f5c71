"""The panel, without a browser: its controls are set as a person would set them, and the log is looked at."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from controls import beside, cards, control, fill, generate, history, labels, line_of, of_kind, text, until, walk
from IPython.core.formatters import DisplayFormatter
from markup import Markup

from imagen_nb.notebook.panel import panel
from imagen_nb.notebook.panel.queue import Submission, SubmissionState, describe
from imagen_nb.notebook.widgets import script
from imagen_nb.records import Progress
from imagen_nb.settings import Provider, Secret
from imagen_nb.simulator import Simulator
from imagen_nb.workspace import Workspace

# ipywidgets 8.1.0, the lowest supported, calls traitlets in a way that is deprecated meanwhile
pytestmark = pytest.mark.filterwarnings("ignore:Deprecated in traitlets 4.1:DeprecationWarning")


def is_done(workspace: Workspace, count: int) -> Callable[[], bool]:
    return lambda: sum(run.status.is_terminal for run in workspace.log.runs()) == count


class Variables(dict[str, Any]):
    """The notebook's variables. The panel's own looks see them as the last press saw them, or since they `are_seen`."""

    def __init__(self, **values: Any) -> None:
        super().__init__(values)
        self.are_seen()

    def are_seen(self) -> None:
        self._seen = dict(self)

    def __call__(self) -> dict[str, Any]:
        if threading.current_thread() is threading.main_thread():
            self.are_seen()
        return self._seen


# -- the form ---------------------------------------------------------------------------------------------------------


def test_form_is_made_from_the_schema(opened: Any) -> None:
    """Each input of the model is a control with the schema's choices, limits and default, and its help."""
    shown = opened()
    assert control(shown, "Aspect ratio").options[:2] == (("1:1", "1:1"), ("9:16", "9:16"))
    assert control(shown, "Output format").value == "jpg"
    assert "Width to height" in text(line_of(shown, "Aspect ratio"))
    fill(shown, Model="black-forest-labs/flux-schnell")
    outputs = control(shown, "Num outputs")
    assert (outputs.value, outputs.min, outputs.max) == (1, 1, 4)
    assert control(shown, "Go fast").value is True
    assert control(shown, "Seed").value == ""
    assert all(text(line_of(shown, label)).strip() for label in ("Prompt", "Model", "Seed", "Vary", "Repeats"))


def test_another_model_keeps_what_still_fits(opened: Any) -> None:
    """Switching the model rebuilds the inputs, and keeps the values that the new one allows."""
    shown = opened()
    fill(shown, Prompt="a fox", Aspect_ratio="16:9", Output_format="png", Safety_filter_level="block_low_and_above")
    fill(shown, Model="black-forest-labs/flux-schnell")
    assert control(shown, "Prompt").value == "a fox"
    assert control(shown, "Aspect ratio").value == "16:9"
    assert control(shown, "Output format").value == "png"
    assert "Safety filter level" not in labels(shown)


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"Prompt": "a fox"}, "Generate, about $0.04"),
        ({"Prompt": "a {red|blue} fox", "Vary": "aspect_ratio=1:1|16:9", "Repeats": 2}, "Generate 8, about $0.32"),
        ({"Prompt": "a {style} fox", "Vary": "style=oil|ink; model=google/imagen-4|google/imagen-4-fast"},
         "Generate 4, about $0.12"),
        ({"Prompt": "a fox", "Model": "black-forest-labs/flux-schnell", "Num_outputs": 4}, "Generate, about $0.012"),
        ({"Prompt": "{animals} at {place}"}, "Generate 2, about $0.08"),
    ],
)  # fmt: skip
def test_button_says_what_it_will_do(opened: Any, values: dict[str, Any], label: str) -> None:
    """Slots, axes, repeats and the notebook's variables count before anything is sent."""
    shown = opened(namespace=lambda: {"animals": ["fox", "owl"], "place": "dawn"})
    if "Model" in values:
        fill(shown, Model=values.pop("Model"))
    fill(shown, **values)
    button = control(shown, "Generate")
    assert (button.description, button.disabled) == (label, False)


@pytest.mark.parametrize(
    ("vary", "values"),
    [
        ("style=oil|ink", ["oil", "ink"]),
        ("style=oil paint|ink", ["oil paint", "ink"]),
        ("style= oil  paint | ink ; aspect_ratio=1:1", ["oil  paint", "ink"]),
        ("style=oil|ink;", ["oil", "ink"]),
        ("aspect_ratio=1:1\nstyle=oil|ink", ["oil", "ink"]),
        ("style=children's book|a cat's", ["children's book", "a cat's"]),
        ('style="oil; ink"|wax', ["oil; ink", "wax"]),
        ("style='oil; ink'|wax; aspect_ratio=1:1", ["oil; ink", "wax"]),
    ],
)
def test_vary_is_read_as_the_magic_reads_it(opened: Any, workspace: Workspace, vary: str, values: list[str]) -> None:
    """Semicolons stand between several axes, spaces need no quotes, and quotes do what they do behind `--vary`."""
    shown = opened()
    fill(shown, Prompt="a fox in {style}", Vary=vary)
    assert beside(shown, "Vary") == ""
    control(shown, "Generate").click()
    until(is_done(workspace, len(values)))
    assert [run.request.slots["style"] for run in workspace.log.runs()] == values


@pytest.mark.parametrize(
    ("values", "at", "says"),
    [
        ({"Prompt": "  "}, "Prompt", "what the image should show"),
        ({"Prompt": "a {animal}"}, "Prompt", "or write {{animal}} for the braces themselves"),
        ({"Prompt": "a fox", "Vary": "aspect_ratio=1:1|7:5"}, "Vary", "'7:5'; allowed: 1:1"),
        ({"Prompt": "a fox", "Vary": "aspct=1:1"}, "Vary", "nothing is called 'aspct'"),
        ({"Prompt": "a fox", "Vary": "nonsense"}, "Vary", "not NAME=VALUE"),
        ({"Prompt": "a {style} fox", "Vary": "style='oil|ink"}, "Vary", "is not closed"),
        ({"Prompt": "a {animal}", "Vary": "aspect_ratio=1:1|16:9"}, "Prompt", "{animal} has no value"),
        ({"Prompt": "a {style} fox", "Vary": "style=oil|oil"}, "Vary", "oil"),
        ({"Model": "black-forest-labs/flux-schnell", "Prompt": "a fox", "Seed": "many"}, "Seed", "a whole number"),
        ({"Model": "another model…", "Model's_name": "nobody", "Prompt": "a"}, "Model's name", "not a model's name"),
        ({"Prompt": "a fox", "Repeats": 21}, "Send all 21", "tick the box"),
    ],
)
def test_mistake_is_said_beside_its_control(
    opened: Any, simulator: Simulator, values: dict[str, Any], at: str, says: str
) -> None:
    """What is wrong stands beside the control that caused it; Generate is off, and nothing is sent."""
    shown = opened()
    for label, value in values.items():
        fill(shown, **{label: value})
    assert says in beside(shown, at)
    control(shown, "Generate").click()
    assert control(shown, "Generate").disabled
    assert not simulator.predictions


def test_model_to_be_named_is_not_asked_for_before_one_types(opened: Any) -> None:
    """ "another model…" alone is no mistake; Generate waits, and the line says what a name looks like."""
    shown = opened()
    fill(shown, Prompt="a fox", Model="another model…")
    assert control(shown, "Generate").disabled
    assert beside(shown, "Model's name") == beside(shown, "Model") == ""
    assert "owner/name" in text(line_of(shown, "Model's name"))


def test_nothing_is_paid_with_the_simulator(home: Path, opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No price is shown for what costs nothing, and the seconds are the simulator's own."""
    quick = Simulator(latency=0.2)
    with quick, Workspace(home, provider="simulator") as workspace:
        provider = Provider("simulator", quick.base_url, Secret("any"))
        monkeypatch.setattr("imagen_nb.workspace._simulator_provider", lambda: provider)
        shown = opened(workspace)
        assert text(line_of(shown, "Model")).strip() == "simulated"
        fill(shown, Prompt="a {red|blue} fox")
        control(shown, "Generate 2, simulated").click()
        until(lambda: "Dismiss" in labels(shown))
        until(lambda: "simulated · about 0." in text(line_of(shown, "Model")))
        until(lambda: len(history(shown).items) == 2 and all(item["picture"] for item in history(shown).items))
        history(shown).picked = [history(shown).items[0]["run"]]
        until(lambda: "Again, simulated" in labels(shown))
        figures = [item["figures"] for gallery in of_kind(shown, "Gallery") for item in gallery.items]
        assert "$" not in text(shown) + "".join(labels(shown)) + "".join(figures)


def test_large_plan_is_sent_once_confirmed(opened: Any, workspace: Workspace) -> None:
    """A plan above `confirm_above` waits for its tick, and the next one for another."""
    shown = opened(confirm_above=2)
    generate(shown, Repeats=3)
    fill(shown, Send_all_3=True)
    control(shown, "Generate 3").click()
    until(is_done(workspace, 3))
    assert control(shown, "Generate 3").disabled


def test_nothing_is_sent_but_what_the_button_says(opened: Any, simulator: Simulator) -> None:
    """A variable that changed since the button was labelled sends nothing: the new label is shown, to be pressed."""
    names = Variables(styles=[f"style {n}" for n in range(25)])
    shown = opened(namespace=names)
    fill(shown, Prompt="a fox in {styles}")
    fill(shown, Send_all_25=True)
    button = control(shown, "Generate 25, about $1.00")
    names["styles"] = [f"style {n}" for n in range(500)]
    button.click()
    assert (button.description, button.disabled) == ("Generate 500, about $20.00", True)
    assert control(shown, "Send all 500").value is False
    assert "Nothing was sent" in beside(shown, "Send all 500")
    assert "Generate sends that" not in text(shown)  # not without the tick
    names["styles"] = ["oil", "ink"]
    button.click()
    assert (button.description, button.disabled) == ("Generate 2, about $0.08", False)
    assert "now 2 requests, about $0.08" in text(shown)
    assert simulator.predictions == []
    button.click()
    until(lambda: len(simulator.predictions) == 2)
    assert "Nothing was sent" not in text(shown)


def test_what_is_said_of_a_plan_goes_with_it(opened: Any) -> None:
    """The variable changes and the press says so, sending nothing; it goes away, and what was said of it too."""
    names = Variables(styles=["oil", "ink"])
    shown = opened(namespace=names)
    fill(shown, Prompt="a fox in {styles}")
    names["styles"] = ["oil", "ink", "wax"]
    control(shown, "Generate").click()
    assert "it is now 3 requests" in text(shown)
    del names["styles"]
    names.are_seen()
    until(lambda: "Nothing was sent" not in text(shown))
    assert "has no value" in beside(shown, "Prompt")


def test_a_submission_that_its_budget_ends_was_stopped(opened: Any) -> None:
    """Nobody canceled it, and the card says what did."""
    shown = opened(budget=0.05)
    fill(shown, Prompt="a {red|blue|green} fox")
    control(shown, "Generate").click()
    until(lambda: "the budget of $0.05 is reached" in text(shown))
    until(lambda: "Stopped" in text(shown))
    assert "Canceled" not in text(shown)


def test_tick_is_for_the_plan_it_named(opened: Any, simulator: Simulator) -> None:
    """The box is cleared where the plan is another one by the time it is ticked, or while it is."""
    names = Variables(styles=list(range(25)))
    shown = opened(namespace=names)
    fill(shown, Prompt="a fox in {styles}")
    names["styles"] = list(range(500))
    control(shown, "Send all").value = True
    assert (control(shown, "Send all 500").value, control(shown, "Generate").disabled) == (False, True)
    control(shown, "Send all 500").value = True
    names["styles"].append("oil")
    until(lambda: "Send all 501" in labels(shown))
    assert (control(shown, "Send all 501").value, control(shown, "Generate 501").disabled) == (False, True)
    assert simulator.predictions == []


def test_variable_defined_later_turns_the_button_on(opened: Any) -> None:
    """A slot that a later cell fills is noticed without touching the form."""
    names: dict[str, Any] = {}
    shown = opened(namespace=lambda: names)
    fill(shown, Prompt="a fox in {style}")
    assert control(shown, "Generate").disabled
    names["style"] = "oil"
    until(lambda: not control(shown, "Generate").disabled)
    assert beside(shown, "Prompt") == ""


def test_model_nobody_described_is_asked_for_meanwhile(home: Path, opened: Any) -> None:
    """The provider's schema of a model makes the form; where there is none, inputs go as given and a note says so."""
    with Simulator(latency=0.0) as simulator, Workspace(home, provider=simulator.base_url) as workspace:
        shown = opened(workspace)
        fill(shown, Prompt="a fox", Model="another model…", **{"Model's_name": "somebody/unheard-of"})
        until(lambda: not control(shown, "Generate").disabled)
        assert "No schema is known" in text(shown)
        fill(shown, Other_inputs="steps=4; style=oil")
        control(shown, "Generate").click()
        until(lambda: workspace.log.runs() and workspace.log.runs()[0].status.is_terminal)
        assert workspace.log.runs()[0].request.params == {"steps": 4, "style": "oil"}


# -- submissions ------------------------------------------------------------------------------------------------------


def test_click_becomes_an_image_and_a_row(opened: Any, workspace: Workspace) -> None:
    """Generate returns at once; the card fills in, and the row has what the form said and nothing else."""
    shown = opened()
    fill(shown, Prompt="a red fox", Aspect_ratio="16:9", Experiment="foxes")
    began = time.thread_time()
    control(shown, "Generate").click()
    assert time.thread_time() - began < 0.05
    until(lambda: len(of_kind(shown, "Gallery")) == 2 and of_kind(shown, "Gallery")[0].thumbs)
    (run,) = workspace.log.runs()
    assert run.request.input == {"prompt": "a red fox", "aspect_ratio": "16:9"}
    assert run.experiment == "foxes"
    assert "Done" in text(shown)
    assert until(lambda: history(shown).items)[0]["alt"] == "a red fox"


def test_each_submission_has_its_own_cancel(home: Path, opened: Any) -> None:
    """Several run at once; canceling one lets the others go on."""
    with Simulator(latency=0.4) as simulator, Workspace(home, provider=simulator.base_url) as workspace:
        shown = opened(workspace)
        generate(shown, "one that is stuck [stuck]")
        generate(shown, "a fox")
        until(lambda: labels(shown).count("Cancel") == 2)
        until(lambda: len(simulator.predictions) == 2)
        [each for each in of_kind(shown, "Button") if each.description == "Cancel"][-1].click()
        until(lambda: labels(shown).count("Dismiss") == 2)
        assert {run.request.prompt: str(run.status) for run in workspace.log.runs()} == {
            "one that is stuck [stuck]": "canceled",
            "a fox": "succeeded",
        }
        assert "Canceled" in text(shown)


def test_canceled_card_counts_all_and_can_be_dismissed(home: Path, opened: Any) -> None:
    """After Cancel the card says of every run, and not of the last few, what became of it, and it can be taken away."""
    with Simulator(latency=0.1) as simulator, Workspace(home, provider=simulator.base_url) as workspace:
        shown = opened(workspace)
        generate(shown, "a fox [stuck]", Repeats=16)
        until(lambda: len(simulator.predictions) == 16)
        control(shown, "Cancel").click()
        until(lambda: "Dismiss" in labels(shown))
        (card,) = cards(shown)
        assert "Canceled 16 of 16" in card
        assert "16 runs canceled" in card
        assert [gallery.items for gallery in of_kind(shown, "Gallery") if gallery.label != "Earlier runs"] == []
        until(lambda: [item["word"] for item in history(shown).items] == ["16 canceled"])
        assert not control(shown, "Dismiss").disabled
        control(shown, "Dismiss").click()
        until(lambda: "Dismiss" not in labels(shown))


@pytest.mark.parametrize(
    ("progress", "says"),
    [
        (Progress(16, done=16, canceled=16), "16 of 16"),
        (Progress(16, done=16, succeeded=2, failed=1, canceled=13), "13 of 16 · 3 done · 1 failed"),
        (Progress(16, done=8, succeeded=3, canceled=5), "13 of 16 · 3 done · 8 not sent"),
        (Progress(16, done=3, succeeded=3), "13 of 16 · 3 done · 13 not sent"),
    ],
)
def test_canceled_card_accounts_for_every_run(workspace: Workspace, progress: Progress, says: str) -> None:
    """Beside the word "Canceled" the figure counts what was canceled, and the rest is named."""
    submission = Submission(workspace.plan("a fox", repeat=16), None)
    card = describe(submission, SubmissionState("ended", replace(progress, elapsed=2.0, state="ended")))
    assert card["word"] == "Canceled"
    assert card["figures"].startswith(says)
    assert len(card["figures"]) < len(says) + 40


def test_reason_of_a_failure_is_on_its_card(opened: Any, workspace: Workspace) -> None:
    """A blocked prompt says so, in the provider's words; a prompt is text, whatever it looks like."""
    shown = opened()
    generate(shown, "<script>alert(1)</script> [blocked]")
    until(is_done(workspace, 1))
    until(lambda: "flagged as sensitive" in text(shown))
    markup = " ".join(each.value for each in of_kind(shown, "HTML"))
    assert "<script>" not in markup
    assert "&lt;script&gt;" in markup


def test_provider_that_is_down_loses_nothing(home: Path, opened: Any) -> None:
    """Nothing is billed, the card says why, and the form keeps what was typed."""
    with Simulator() as simulator:
        url = simulator.base_url
    with Workspace(home, provider=url) as workspace:
        shown = opened(workspace)
        generate(shown, "a fox")
        until(lambda: "Stopped" in text(shown), timeout=60)
        assert "nothing was sent" in text(shown)
        assert control(shown, "Prompt").value == "a fox"
        assert str(workspace.log.runs()[0].status) == "failed"


def test_few_messages_while_it_runs(home: Path, opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running prediction costs at most four widget messages a second."""
    from ipywidgets import Widget

    with Simulator(latency=30.0) as simulator, Workspace(home, provider=simulator.base_url) as workspace:
        shown = opened(workspace)
        generate(shown, "a fox")
        until(lambda: "Running" in text(shown) and history(shown).items)
        sent: list[Any] = []
        monkeypatch.setattr(Widget, "_send", lambda self, message, **_: sent.append((type(self), message)))
        began = time.monotonic()
        time.sleep(2.0)
        monkeypatch.undo()
        assert len(sent) <= 4 * (time.monotonic() - began) + 2, sent  # what is under way at either end counts too


def test_two_panels_agree(opened: Any, workspace: Workspace) -> None:
    """What one panel submits or takes away, the other shows."""
    one, other = opened(), opened()
    generate(one, "a red fox")
    until(is_done(workspace, 1))
    until(lambda: "Dismiss" in labels(one) and "Dismiss" in labels(other))
    until(lambda: history(one).items and history(one).items == history(other).items)
    control(other, "Dismiss").click()
    until(lambda: "Dismiss" not in labels(one))


def test_closing_lets_what_runs_be_logged(home: Path, opened: Any) -> None:
    """A closed panel's predictions end in the log."""
    with Simulator(latency=0.6) as simulator, Workspace(home, provider=simulator.base_url) as workspace:
        shown = opened(workspace)
        generate(shown, "a fox", Repeats=2)
        until(lambda: len(simulator.predictions) == 2)
        shown.close()
        until(is_done(workspace, 2))
        assert [str(run.status) for run in workspace.log.runs()] == ["succeeded"] * 2


# -- settings that cannot be used --------------------------------------------------------------------------------------


def test_missing_token_is_said_in_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a token for a named provider the panel says which variable to set, and can try again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEN_NB_PROVIDER", "replicate")
    shown = panel()
    assert "REPLICATE_API_TOKEN" in text(shown)
    control(shown, "Try again").click()
    assert "REPLICATE_API_TOKEN" in text(shown)
    monkeypatch.setenv("IMAGEN_NB_PROVIDER", "simulator")
    control(shown, "Try again").click()
    assert control(shown, "Generate").disabled
    assert [each for each in walk(shown) if "inb-panel" in each._dom_classes] == [shown.children[0]], "one frame"
    shown.children[0].close()


def test_first_panel_waits_for_nothing_heavy() -> None:
    """What only the log and the network need is imported behind the panel that is already shown."""
    code = "import sys, imagen_nb.notebook.panel; sys.exit(bool({'pandas', 'sqlalchemy', 'requests'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_its_text_is_a_line(opened: Any, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Printed, or displayed after it was closed, a panel says in a line what it is."""
    monkeypatch.chdir(workspace.home.parent)
    shown = opened()
    assert str(shown) == "<panel on imagen_runs>"
    shown.close()
    plain, _ = DisplayFormatter().format(shown)
    assert plain["text/plain"] == "<closed panel on imagen_runs>"


def test_text_of_a_panel_that_is_not_ready_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a terminal the two lines of the error stand where the panel would be, and then the panel's own text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEN_NB_PROVIDER", "replicate")
    shown = panel()
    first, second = shown._repr_mimebundle_()["text/plain"].splitlines()
    assert first == "no token for the provider replicate"
    assert "REPLICATE_API_TOKEN" in second
    assert "REPLICATE_API_TOKEN" in Markup.of(shown._repr_mimebundle_()["text/html"]).text
    assert str(shown) == "<no panel: no token for the provider replicate>"
    monkeypatch.setenv("IMAGEN_NB_PROVIDER", "simulator")
    control(shown, "Try again").click()
    assert "run this cell again" in shown._repr_mimebundle_()["text/plain"]
    shown.close()
    assert str(shown) == "<closed panel on imagen_runs>"


@pytest.mark.parametrize("name", ["gallery.js", "large.js", "rater.js", "copy.js", "guard.js"])
def test_script_reaches_the_browser_as_one_text(name: str) -> None:
    """Relative imports cannot be followed from a widget, so what a script needs stands in front of it."""
    whole = script(name)
    assert " from " not in "".join(line for line in whole.splitlines() if line.startswith("import"))
    assert whole.count("export default") == (name != "large.js")
    assert "class LargeView" in whole or name in ("copy.js", "guard.js")


def test_static_form_needs_no_widget(opened: Any) -> None:
    """Beside the live panel its output has text and HTML for where no widget can live."""
    bundle = opened()._repr_mimebundle_()
    assert "imagen_nb panel" in bundle["text/plain"]
    assert "imagen_nb panel" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_static_form_has_the_newest_pictures(opened: Any, workspace: Workspace) -> None:
    """In a file that was opened without a kernel, the last images stand where the panel was, and no whole path."""
    workspace.run(workspace.plan("a {red|blue|white|black|green} fox"))
    bundle = opened()._repr_mimebundle_()
    page = Markup.of(bundle["text/html"])
    assert page.attributes("alt") == [f"a {colour} fox" for colour in ("green", "black", "white", "blue")]
    assert all(source.startswith("data:image/webp") for source in page.attributes("src"))
    assert "run this cell again" in page.text
    assert len(bundle["text/html"]) < 70_000


def test_static_form_leaves_out_a_picture_whose_file_is_gone(opened: Any, workspace: Workspace) -> None:
    """An image that was deleted before any thumbnail was made of it stands there as nothing, not as a broken one."""
    gone, kept = (workspace.generate(f"a {colour} fox") for colour in ("red", "blue"))
    gone.images[0].path.unlink()
    page = Markup.of(opened()._repr_mimebundle_()["text/html"])
    assert page.attributes("alt") == [kept.request.prompt]
