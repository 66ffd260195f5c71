"""The magics in a shell, against a simulator: what is sent, what comes back, what is shown, what is refused."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import controls
import pytest
from acts import says
from markup import Markup
from origin import Origin
from shells import Session, session

from imagen_nb import errors
from imagen_nb.planning.options import manual
from imagen_nb.planning.plan import Plan
from imagen_nb.records import Run, Status
from imagen_nb.settings import KnownProvider
from imagen_nb.simulator import Simulator
from imagen_nb.sweeps.sweep import Runs


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> Iterator[Session]:
    """A session whose provider is a simulator that answers at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEN_NB_PROVIDER", simulator.base_url)
    with session(tmp_path) as started:
        yield started


def prompts(simulator: Simulator) -> list[str]:
    return [each["input"]["prompt"] for each in simulator.predictions]


# -- what is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt",
    [
        "a red fox",
        "'tis  the season,  isn't it",
        'a "quoted" $x \\n {"a": 1} 100% #1',
        "why not?",
        "who is this??",
        "a (fox",
        "狐 🦊",
    ],
)
def test_line_prompt_is_sent_as_typed(notebook: Session, simulator: Simulator, prompt: str) -> None:
    """What is typed behind `%imagen` reaches the provider letter by letter, alone and in an assignment."""
    run = notebook.run(f"%imagen {prompt}")
    notebook.run(f"kept = %imagen -q {prompt}")
    assert notebook.error is None
    assert prompts(simulator) == [prompt, prompt]
    assert (run.request.prompt, notebook.value("kept").request.prompt) == (prompt, prompt)


def test_cell_prompt_is_sent_as_typed(notebook: Session, simulator: Simulator) -> None:
    """The body of `%%imagen` is the prompt, without the line break at its end and with plain ones inside."""
    notebook.run("%%imagen -a 16:9\n  a fox,\n\n  in 'snow'?\n")
    notebook.shell.run_cell_magic("imagen", "", "one\r\ntwo\r\n")
    assert prompts(simulator) == ["  a fox,\n\n  in 'snow'?", "one\ntwo"]
    assert simulator.predictions[0]["input"]["aspect_ratio"] == "16:9"


def test_help_is_still_help(notebook: Session, simulator: Simulator) -> None:
    """`%imagen?` and --help show the manual, and a line in a string that looks like a magic stays as it is."""
    notebook.run("%imagen --help")
    assert notebook.out.strip() == manual().strip()
    notebook.run("%imagen ?")
    assert notebook.out.strip() == manual().strip()
    notebook.run("%imagen?")
    text = notebook.run('"""\n%imagen what?\n"""')
    assert text == "\n%imagen what?\n"
    assert notebook.shell.find_line_magic("imagen").__doc__ == manual()
    assert simulator.predictions == []


def test_axes_slots_and_repeats(notebook: Session, simulator: Simulator) -> None:
    """Variables, alternatives, --vary and comma lists make a sweep in the plan's order."""
    notebook.run("animals = ['fox', 'owl']")
    runs = notebook.run("%imagen -f png,jpg -n 2 --vary style=oil|ink -p aspect_ratio=16:9 a {animals} in {style}")
    assert notebook.error is None
    assert isinstance(runs, Runs)
    assert len(runs) == len(simulator.predictions) == 16
    assert [run.request.prompt for run in runs][::8] == ["a fox in oil", "a owl in oil"]
    assert {run.request.params["aspect_ratio"] for run in runs} == {"16:9"}
    assert {run.status for run in runs} == {Status.SUCCEEDED}


def test_slots_name_what_a_function_knows(notebook: Session, simulator: Simulator) -> None:
    """In a function its own variables fill slots, before the notebook's."""
    notebook.run("kind, place = 'red', 'snow'")
    notebook.run("def f(kind):\n    r = %imagen -q a {kind} fox in {place}\n    return r\nf('blue')")
    assert notebook.error is None
    assert prompts(simulator) == ["a blue fox in snow"]


def test_a_cell_names_what_a_function_knows(notebook: Session, simulator: Simulator) -> None:
    """A cell magic that a function runs sees that function's variables, before the notebook's, as a line magic does."""
    notebook.run("animal, place = 'owl', 'snow'")
    notebook.run(
        "def ask(animal):\n    return get_ipython().run_cell_magic('imagen', '-q', 'a {animal} in {place}')\nask('fox')"
    )
    assert notebook.error is None
    notebook.run("%%imagen -q\na {animal} in {place}")
    notebook.run("%%capture\n%imagen -q a {animal} at dusk")
    assert notebook.error is None
    assert prompts(simulator) == ["a fox in snow", "a owl in snow", "a owl at dusk"]


def test_experiment_tag_and_resume(notebook: Session, simulator: Simulator) -> None:
    """Runs are grouped and labelled in the log; --resume sends nothing that succeeded before."""
    notebook.run("%imagen -e zoo -t 'first try' --vary animal=fox|owl a {animal}")
    again = notebook.run("%imagen -e zoo --resume --vary animal=fox|owl|cat a {animal}")
    assert len(simulator.predictions) == 3
    assert len(again) == 3
    log = notebook.run("%imagen_log --experiment zoo")
    assert log["tag"].fillna("").tolist() == ["first try", "first try", ""]
    assert len(notebook.run("%imagen_log --last 1")) == 1
    assert len(notebook.run("%imagen_log --status failed")) == 0
    notebook.run("%imagen a {animal.upper()} that is [blocked]")
    assert "{animal.upper()} is sent as text" in notebook.out
    assert len(notebook.run("%imagen_log --status blocked --last 5")) == 1


def test_resuming_counts_what_is_left(notebook: Session, simulator: Simulator) -> None:
    """With --resume a dry run says what the log has already, and only the rest needs a yes."""
    notebook.run("%imagen -q -e zoo -n 18 a fox")
    notebook.run("%imagen --resume --dry-run -e zoo -n 18 a fox")
    assert "18 of the 18 requests are in the log already; --resume sends none." in notebook.out
    notebook.run("%imagen --resume --dry-run -e zoo -n 21 a fox")
    assert "18 of the 21 requests are in the log already; --resume sends 3, about $0.12." in notebook.out
    notebook.run("%imagen --resume -e zoo -n 50 a fox")
    assert isinstance(notebook.error, errors.ConfirmationError)
    assert "this would send 32 requests for about $1.28" in notebook.error.message
    assert len(simulator.predictions) == 18
    notebook.run("%imagen --resume -e zoo -n 21 a fox")
    assert notebook.error is None
    assert len(simulator.predictions) == 21
    notebook.run("%imagen --resume --dry-run -e another -n 21 a fox")
    assert "0 of the 21" in notebook.out


def test_resuming_a_huge_plan_is_not_looked_up(notebook: Session, tmp_path: Path) -> None:
    """A plan too large to be expanded is confirmed as a whole, at once."""
    (tmp_path / "imagen_runs").mkdir()
    notebook.run("%imagen --resume -e zoo -n 10000000 a fox")
    assert isinstance(notebook.error, errors.ConfirmationError)
    assert "10,000,000 requests" in notebook.error.message


# -- what comes back --------------------------------------------------------------------------------------------------


def test_one_request_gives_a_run(notebook: Session) -> None:
    """The cell's value is the run; `_`, an assignment and -o hold the same kind of thing."""
    shown = notebook.run("%imagen -o bound a red fox")
    assert isinstance(shown, Run)
    assert notebook.value("bound") is shown
    assert notebook.value("_") is shown
    assert notebook.out.count("a red fox") == 1
    notebook.run("r = %imagen a red fox")
    assert notebook.out == ""
    assert notebook.value("r").status is Status.SUCCEEDED


def test_an_image_is_shown_by_itself(notebook: Session) -> None:
    """An image of a run has a text, an HTML and a terminal form, also after it was pickled."""
    image = notebook.run("%imagen a red fox").images[0]
    shown = image._repr_mimebundle_()
    assert Markup.of(shown["text/html"]).attributes("alt") == ["a red fox"]
    assert shown["text/plain"].startswith("imagen_runs/images/")
    copied = pickle.loads(pickle.dumps(image))  # noqa: S301 - our own
    assert copied == image
    assert copied._repr_mimebundle_() == shown


@pytest.mark.parametrize(
    "form", ["%imagen -q -o bound a fox", "%%imagen -q -o bound\na fox", "%imagen -q -o bound -n 2 f"]
)
def test_quiet_shows_nothing_and_keeps_everything(notebook: Session, form: str) -> None:
    """With -q nothing is displayed, and `_`, `Out` and -o hold the result all the same; shown later, it shows."""
    result = notebook.run(form)
    assert notebook.out + notebook.err == ""
    assert result is notebook.value("bound")
    assert notebook.value("_") is result
    assert result in notebook.value("Out").values()
    notebook.run("bound")
    assert "succeeded" in notebook.out


def test_quiet_silences_only_its_own_result(notebook: Session) -> None:
    """Another value at the end of the same cell is displayed as ever."""
    notebook.run("r = %imagen -q a fox\n6 * 7")
    assert "42" in notebook.out
    assert sys.displayhook is sys.__displayhook__ or "IPython" not in type(sys.displayhook).__module__


def test_dry_run_gives_the_plan(notebook: Session, simulator: Simulator) -> None:
    """--dry-run shows how many requests there are and what they may cost, and sends nothing."""
    plan = notebook.run("%imagen --dry-run -a 1:1,16:9 -n 2 a {fox|owl}")
    assert isinstance(plan, Plan)
    assert len(plan) == 8
    assert "8 requests" in notebook.out
    assert "$0.32" in notebook.out
    assert simulator.predictions == []


def test_failed_and_blocked_predictions_are_results(notebook: Session) -> None:
    """What fails at the provider is a run that says why; the cell goes on."""
    for prompt, code in (("[fail] a fox", None), ("[blocked] a fox", "blocked")):
        run = notebook.run(f"%imagen {prompt}")
        assert notebook.error is None
        assert run.status is Status.FAILED
        assert code is None or run.error_code == code
        assert str(run.error) in notebook.out.replace("\n", " ") or run.error_code in notebook.out


def test_background_returns_at_once(notebook: Session) -> None:
    """--background gives runs that fill in, with .wait()."""
    runs = notebook.run("%imagen --background -n 3 -j 1 a fox")
    assert isinstance(runs, Runs)
    assert len(runs.wait()) == 3


@pytest.mark.parametrize("place", ["live.choose_output", "live.LiveView.leave_summary", "magic.result_hook"])
def test_interrupt_beside_the_waiting_keeps_the_runs(
    notebook: Session, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """An interrupt just before or after the waiting says what was done too, and binds -o."""

    with monkeypatch.context() as patch:

        def interrupting(*_: Any) -> None:
            patch.undo()
            raise KeyboardInterrupt

        patch.setattr(f"imagen_nb.notebook.{place}", interrupting)
        notebook.run("%imagen -o part -n 2 a fox")
    assert isinstance(notebook.error, errors.Interrupted)
    assert "of 2 finished and logged" in notebook.error.message
    assert notebook.value("part") is notebook.error.runs


# -- settings ---------------------------------------------------------------------------------------------------------


def test_settings_count_from_the_next_cell(notebook: Session, simulator: Simulator, tmp_path: Path) -> None:
    """`%config ImagenMagics` changes model, home, limits and prices; without a change the workspace stays the same."""
    notebook.run("%imagen -q a fox")
    notebook.run("%config ImagenMagics.model = 'google/imagen-4-fast'")
    notebook.run(f"%config ImagenMagics.home = {str(tmp_path / 'elsewhere')!r}")
    notebook.run("%config ImagenMagics.prices = {'google/imagen-4-fast': 2.5}")
    run = notebook.run("%imagen a fox")
    assert (run.request.model, run.cost) == ("google/imagen-4-fast", 2.5)
    assert (tmp_path / "elsewhere").is_dir()
    from imagen_nb.shared import default_workspace

    assert default_workspace().home == tmp_path / "elsewhere"
    notebook.run("%config ImagenMagics.confirm_above = 1")
    notebook.run("%imagen -n 2 a fox")
    assert isinstance(notebook.error, errors.ConfirmationError)
    notebook.run("%config ImagenMagics.budget = 1")
    assert notebook.run("%imagen a fox") is not None
    assert len(simulator.predictions) == 2
    default_workspace().close()


def test_settings_count_in_python_too(notebook: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`im.plan`, `im.frame` and `im.panel` use what `%config` says before any magic has run, whatever the tokens."""
    monkeypatch.delenv("IMAGEN_NB_PROVIDER")
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_canary")
    notebook.run("import imagen_nb as im")
    notebook.run("%config ImagenMagics.provider = 'simulator'")
    notebook.run("panel = im.panel()")
    assert "simulator" in controls.text(notebook.value("panel"))
    notebook.run("panel.close()")
    notebook.run("%config ImagenMagics.model = 'google/imagen-4-fast'")
    notebook.run("%config ImagenMagics.prices = {'google/imagen-4-fast': 2.5}")
    notebook.run(f"%config ImagenMagics.home = {str(tmp_path / 'elsewhere')!r}")
    plan = notebook.run("im.plan('a fox')")
    assert (plan.models, plan.cost) == (("google/imagen-4-fast",), 2.5)
    assert len(notebook.run("im.frame()")) == 0
    assert (tmp_path / "elsewhere").is_dir()
    assert not (tmp_path / "imagen_runs" / "log.sqlite").exists()
    notebook.run("%unload_ext imagen_nb")
    assert notebook.run("im.plan('a fox')").models == ("google/imagen-4",)


@pytest.mark.parametrize("opening", ["im.panel()", "get_ipython().run_line_magic('imagen_panel', '')"])
def test_limits_count_in_the_panel(notebook: Session, simulator: Simulator, opening: str) -> None:
    """However a panel is opened, `confirm_above` asks for a tick in it and `budget` ends what one press may spend."""
    notebook.run("%config ImagenMagics.confirm_above = 2")
    notebook.run("%config ImagenMagics.budget = 0.05")
    notebook.run(f"import imagen_nb as im; panel = {opening}")
    panel = notebook.value("panel")
    assert "at most $0.05 each time" in controls.text(panel)
    controls.control(panel, "Prompt").value = "a {red|blue|white} fox"
    assert controls.control(panel, "Generate 3").disabled
    controls.control(panel, "Send all 3").value = True
    controls.control(panel, "Generate 3").click()
    controls.until(lambda: "Dismiss" in controls.labels(panel))
    assert len(simulator.predictions) == 1
    panel.close()


def test_no_workspace_is_opened_beside_the_one_configured(notebook: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a login the configured provider counts, also where the environment alone would name none."""
    monkeypatch.delenv("IMAGEN_NB_PROVIDER")
    monkeypatch.setenv("IMAGEN_NB_TOKEN", "r8_canary")
    monkeypatch.setattr("getpass.getpass", lambda _: "r8_canary")
    notebook.run("%config ImagenMagics.provider = 'replicate'")
    notebook.run("%imagen --dry-run a fox")
    notebook.run("%imagen_login")
    notebook.run("%imagen --dry-run a fox")
    assert notebook.error is None


def test_deleted_home_is_begun_anew(notebook: Session, simulator: Simulator, tmp_path: Path) -> None:
    """After `!rm -rf imagen_runs` the next cell begins a new log and says so in a line, each time and in any magic."""
    notebook.run("%imagen -q a fox")
    for cell, rows in (("%imagen an owl", 1), ("%imagen_log", 0), ("%imagen a cat", 1)):
        shutil.rmtree(tmp_path / "imagen_runs")
        notebook.run(cell)
        assert notebook.error is None
        assert notebook.out.count("was moved or deleted; a new one is begun") == 1
        assert len(notebook.run("%imagen_log")) == rows
        assert "moved" not in notebook.out
    assert len(simulator.predictions) == 3


def test_log_that_vanishes_meanwhile_names_a_way_on(notebook: Session, tmp_path: Path) -> None:
    """A background sweep whose log is moved away stops with two lines, and doing as they say works."""
    notebook.run("runs = %imagen -q --background -n 20 -j 1 a fox")
    (tmp_path / "imagen_runs").rename(tmp_path / "elsewhere")
    notebook.run("runs.wait()")
    assert isinstance(notebook.error, errors.LogError)
    assert notebook.error.hint.startswith("Run the cell again")
    notebook.run("%imagen -q a fox")
    assert notebook.error is None


def test_settings_are_listed(notebook: Session) -> None:
    """`%config ImagenMagics` shows every default with its help."""
    notebook.run("%config ImagenMagics")
    for name in ("model", "provider", "home", "jobs", "confirm_above", "budget", "prices", "thumbnail"):
        assert f"ImagenMagics.{name}=" in notebook.out


def test_a_token_set_after_the_first_cell_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token variable set, changed or taken away counts from the next cell on, and one line says so, once."""
    monkeypatch.chdir(tmp_path)
    with session(tmp_path) as notebook, Origin(token="r8_one") as origin:
        monkeypatch.setattr(
            "imagen_nb.settings.KNOWN_PROVIDERS", {"replicate": KnownProvider(origin.base_url, "REPLICATE_API_TOKEN")}
        )
        notebook.run("%imagen -q a fox")
        assert origin.bills == []
        said = []
        for token in ("r8_two", "r8_one"):
            notebook.run(f"import os; os.environ['REPLICATE_API_TOKEN'] = '{token}'")
            notebook.run("%imagen -q an owl")
            said.append(notebook.out.splitlines()[0])
        assert said == [
            "The environment has changed: from here on replicate answers.",
            "The environment has changed: from here on replicate answers with another token.",
        ]
        notebook.run("%imagen -q a cat")
        assert notebook.out == ""
        assert [bill.input["prompt"] for bill in origin.bills] == ["an owl", "a cat"]
        notebook.run("del os.environ['REPLICATE_API_TOKEN']; os.environ['IMAGEN_NB_MODEL'] = 'google/imagen-4-fast'")
        plan = notebook.run("%imagen --dry-run a fox")
        assert "from here on simulator answers and the model is google/imagen-4-fast." in notebook.out
        assert plan.models == ("google/imagen-4-fast",)
        assert set(notebook.run("%imagen_log")["provider"]) == {"simulator", "replicate"}


def test_a_workspace_that_was_given_its_settings_keeps_them(notebook: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `%config` names, and a folder that another one was entered from, are not changed by the environment."""
    notebook.run("%config ImagenMagics.provider = 'simulator'")
    notebook.run("%imagen --dry-run a fox")
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_canary")
    notebook.run("import os; os.mkdir('elsewhere'); os.chdir('elsewhere')")
    notebook.run("%imagen --dry-run a fox")
    assert "environment" not in notebook.out
    from imagen_nb.shared import default_workspace

    monkeypatch.setenv("IMAGEN_NB_MODEL", "google/imagen-4-fast")
    home = default_workspace().home
    assert home.parent.name != "elsewhere"


def test_simulator_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any token one line says that the images are simulated, once."""
    monkeypatch.chdir(tmp_path)
    with session(tmp_path) as notebook:
        notebook.run("%imagen --dry-run a fox")
        assert notebook.out.startswith("No token found: images come from the built-in simulator.")
        notebook.run("%imagen --dry-run a fox")
        assert "No token" not in notebook.out


def test_login_keeps_the_token_to_itself(notebook: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """%imagen_login asks with getpass, and the token is nowhere to be seen afterwards."""
    monkeypatch.delenv("IMAGEN_NB_PROVIDER")
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"r8_canary{len(prompt) * 0}")
    notebook.run("%imagen_login replicate")
    assert notebook.error is None
    assert "replicate" in notebook.out
    from imagen_nb.shared import default_workspace

    assert default_workspace().settings.provider.name == "replicate"
    seen = [notebook.out, repr(notebook.shell.user_ns), repr(vars(default_workspace()))]
    assert not any("r8_canary" in text for text in seen)


def test_login_where_nobody_can_be_asked(notebook: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anybody to ask (a notebook run by a program) the cell fails in two lines that name the other way."""

    def unable(_: str) -> str:
        raise OSError("no terminal")

    monkeypatch.setattr("getpass.getpass", unable)
    notebook.run("%imagen_login")
    assert isinstance(notebook.error, errors.SettingsError)
    assert "variable" in notebook.out + notebook.err


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "error", "words"),
    [
        ("%imagen", "InputError", "the prompt is empty"),
        ("%imagen -n 2", "InputError", "the prompt is empty"),
        ("%%imagen\n ", "InputError", "the prompt is empty"),
        ("%%imagen\n\n\n", "InputError", "the prompt is empty"),
        ("%%imagen aspect-ratio 16:9\na fox", "InputError", "'aspect-ratio 16:9' is none"),
        ("%imagen --mod x a fox", "InputError", "unknown option --mod"),
        ("%imagen -a 7:5 a fox", "InputError", "allowed: 1:1, 9:16"),
        ("%imagen -a 1:1,7:5 a fox", "InputError", "allowed: 1:1, 9:16"),
        ("%imagen -p seed=1 a fox", "InputError", "seed"),
        ("%imagen --vary styel=oil|ink a {style}", "InputError", "style"),
        ("%imagen a {nothing}", "InputError", "nothing"),
        ("%imagen -m nonsense a fox", "InputError", "'nonsense' is not a model's name"),
        ("%imagen -n 21 a fox", "ConfirmationError", "21 requests"),
        ("%imagen --resume a fox", "InputError", "resume"),
        ("%imagen_log --status done", "InputError", "'done' is no status"),
        ("%imagen_log zoo", "InputError", "'zoo'"),
        ("%imagen_panel zoo", "InputError", "'zoo'"),
        ("%imagen_login nonsense", "InputError", "kkiai, replicate"),
        ("%imagen_login simulator", "InputError", "kkiai, replicate"),
        ("%imagen -m new/model --budget 1 a fox", "InputError", "price"),
    ],
)
def test_mistakes_are_two_lines(notebook: Session, simulator: Simulator, cell: str, error: str, words: str) -> None:
    """A mistake fails the cell in at most two lines, names the allowed values, and nothing is sent."""
    notebook.run(cell)
    assert type(notebook.error).__name__ == error
    lines = (notebook.out + notebook.err).strip().splitlines()
    assert len([line for line in lines if not line.startswith("No schema")]) <= 2
    assert words in notebook.out + notebook.err
    assert "Traceback" not in notebook.out + notebook.err
    assert simulator.predictions == []


def test_nothing_is_bound_by_a_mistake(notebook: Session) -> None:
    """A cell that fails before anything is sent leaves -o VAR alone."""
    notebook.run("%imagen -o r -a 7:5 a fox")
    assert "r" not in notebook.shell.user_ns


@pytest.mark.parametrize(("token", "error"), [("right", errors.CreditError), ("wrong", errors.AuthenticationError)])
def test_refused_requests_fail_the_cell(
    notebook: Session, monkeypatch: pytest.MonkeyPatch, token: str, error: type[errors.ImagenError]
) -> None:
    """401 and 402 fail the cell in two lines, for one request and for a sweep; the rows are in the log."""
    with Origin(token="right_canary") as refusing:
        if token == "right":
            refusing.fault("create", instead=[says({"title": "Insufficient credit", "status": 402}, 402)])
        monkeypatch.setenv("IMAGEN_NB_PROVIDER", refusing.base_url)
        monkeypatch.setenv("IMAGEN_NB_TOKEN", f"{token}_canary")
        for cell in ("%imagen -o r a fox", "%imagen -o r -n 3 -j 1 a fox"):
            notebook.run(cell)
            assert isinstance(notebook.error, error)
            written = notebook.out + notebook.err
            assert len(written.strip().splitlines()) <= 2
            assert "canary" not in written
            assert isinstance(notebook.value("r"), Runs)
        assert refusing.bills == []
    log = notebook.run("%imagen_log")
    assert set(log["status"]) <= {"failed", "intent"}
    assert len(log) >= 2


def test_unreachable_provider(notebook: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that nobody can reach fails the cell in two lines that say so."""
    monkeypatch.setenv("IMAGEN_NB_PROVIDER", "http://127.0.0.1:9")
    notebook.run("%imagen --timeout 1 a fox")
    assert isinstance(notebook.error, errors.UnreachableError)
    assert len((notebook.out + notebook.err).strip().splitlines()) <= 2


def test_home_that_cannot_be_written(notebook: Session, simulator: Simulator, tmp_path: Path) -> None:
    """Without a log nothing is sent: the cell says which folder cannot be used."""
    (tmp_path / "imagen_runs").write_text("in the way")
    notebook.run("%imagen a fox")
    assert isinstance(notebook.error, errors.LogError)
    assert "imagen_runs" in notebook.out + notebook.err
    assert simulator.predictions == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_verbose_tracebacks_hold_no_token(notebook: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `%xmode Verbose` a mistake within the package shows its frames, and no token in them."""
    monkeypatch.setenv("IMAGEN_NB_TOKEN", "r8_canary")

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    notebook.run("%xmode Verbose")
    for place in (
        "imagen_nb.api.client.Api.create",
        "imagen_nb.log.log.Log.intend",
        "imagen_nb.sweeps.sweep.Runs.wait",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, broken)
            notebook.run("%imagen a fox")
            assert notebook.error is not None
            assert "canary" not in notebook.out + notebook.err
            notebook.rest()
    notebook.run("%xmode Context")
