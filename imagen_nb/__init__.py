"""A laboratory for text-to-image prompts in Jupyter: a magic, a panel, and a durable log that is a DataFrame.

`%load_ext imagen_nb` loads the magics. In Python: `generate` makes one image, `plan` and `run` an experiment, `frame`
is the log. They use the notebook's default workspace; `Workspace` opens another. Importing this module does little but
define names: what is heavy is imported when it is first used, and every DataFrame has `.imagen` once pandas is.

The rest of this text is the map of the house, for who works on it. A prompt goes one way, room by room:

    cell text -> notebook -> planning -> workspace -> sweeps -> api -> log -> views -> cell
    (panel, cli)  the magic   text->plan  opens the    one POST,  HTTP   rows   HTML
                                          home         one row          images

The rooms, from above to below; a room imports only from those below it (pyproject.toml has the contracts):

    notebook/      the magic, its completion, the live view, the widgets; panel/ is the panel
    cli/           the command `imagen-nb`, with the magic's own words
    shared.py      the workspace that a notebook's cells share, and login
    workspace.py   opens all that is below for one home and one provider, and has the verbs
    sweeps/        runs a plan: the handle, the life of one request, the search for a lost one
    frames/        what df.imagen shows of a frame and writes of it; accessor.py is its front door
    judging/       what votes and figures tell: rankings, effects, scorers, alarms; pure over frames and pictures
    api/           the provider over HTTP: pace, deadlines, polling, downloads
    log/           the disk: tables, the changes of a row, sessions, image files, the frame
    views/         values in, HTML and text out; templates/ and assets/ are files that stand on their own
    planning/      pure: what was typed becomes ordered requests; options, slots, models, prices
    settings.py    who answers, with which token
    records.py     the nouns that travel, and the list of the log's columns
    files.py       a file written whole or not at all
    hook.py        gives every DataFrame its `.imagen` when pandas is imported
    errors.py      what can go wrong, as a tree, and the words to say it in
    simulator/     a provider on this machine that speaks the same HTTP and imports nothing of the above

Where to begin reading: `notebook/magic.py` (a cell), then `sweeps/one_request.py` (how money is spent: once).
Where to add

    a model       a file in planning/catalogue; it makes options, completion, panel, checks and price by itself
    an option     the table in planning/options.py; magic, command line, completion and manual read it from there
    a view        a template in views/templates, a function that fills it in views/, a method in accessor.py
    a column      records.py for its name and kind, log/schema.py for where it lies
    an error      errors.py, below the nearest kind
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast, overload

from imagen_nb.hook import watch_pandas

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor

    import pandas as pd
    from typing_extensions import Unpack

    from imagen_nb.accessor import LogFrame
    from imagen_nb.judging import scorers
    from imagen_nb.log.queries import Names, Statuses
    from imagen_nb.planning.plan import Plan
    from imagen_nb.records import Image, Request, Run, Status
    from imagen_nb.sweeps.sweep import Runs
    from imagen_nb.workspace import Prompts, RunKeywords, Workspace

__version__ = "0.1.0"

__all__ = [
    "Image",
    "Plan",
    "Request",
    "Run",
    "Runs",
    "Status",
    "Workspace",
    "frame",
    "generate",
    "load_ipython_extension",
    "login",
    "models",
    "panel",
    "plan",
    "rate",
    "read_log",
    "reconcile",
    "run",
    "scorers",
    "unload_ipython_extension",
]

_HOMES = {
    "Image": "imagen_nb.records",
    "Plan": "imagen_nb.planning.plan",
    "Request": "imagen_nb.records",
    "Run": "imagen_nb.records",
    "Runs": "imagen_nb.sweeps.sweep",
    "Status": "imagen_nb.records",
    "Workspace": "imagen_nb.workspace",
}
"""Where each of these is. What they import is light, as completion looks at every one of them."""

_TIMEOUT_S = 600.0
"""As `settings.TIMEOUT_S`, which is not imported for it."""


def __getattr__(name: str) -> Any:
    if name == "scorers":
        return import_module("imagen_nb.judging.scorers")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    message = f"module 'imagen_nb' has no attribute {name!r}"
    if not name.startswith("_"):
        from imagen_nb.planning.habits import verb_for

        message = f"{message}. {verb_for(name, __all__)}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


@contextmanager
def _workspace() -> Iterator[Workspace]:
    """The default workspace; what it has to say, such as who answers, is said before its work and after."""
    from imagen_nb.shared import default_workspace

    workspace = default_workspace()
    try:
        workspace.say_notices()
        yield workspace
    finally:
        workspace.say_notices()


# These are the default workspace's methods of the same names and keywords: `locals()` are all of a function's arguments
# as long as nothing else in it has a name.


def generate(
    prompt: str,
    *,
    model: str | None = None,
    timeout: float = _TIMEOUT_S,
    experiment: str | None = None,
    tag: str | None = None,
    slots: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    **names: Any,
) -> Run:
    """Make one image from a prompt, wait for it, and give its run, with the file on disk.

    Any other keyword is a slot of the prompt, or an input of the model by its name (`slots` and `params` say which it
    is): `generate("a red fox", aspect_ratio="16:9")`. `model` is by default the workspace's, `timeout` is in seconds;
    `experiment` and `tag` label the run in the log. A failed or blocked prediction is a run that says so; what keeps
    the request from being asked raises `ImagenError`.
    """
    given = locals()
    with _workspace() as workspace:
        return workspace.generate(**given.pop("names"), **given)


def plan(
    template: Prompts,
    /,
    *,
    model: str | Sequence[str] | None = None,
    repeat: int = 1,
    slots: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    raw: bool = False,
    zipped: Sequence[Any] = (),
    sample: int | None = None,
    sample_seed: int = 0,
    namespace: Mapping[str, Any] | None = None,
    **names: Any,
) -> Plan:
    """The ordered requests of a template over its slots and the model's inputs, priced; nothing is sent.

    `plan("a {animal} in {oil|ink}", animal=["fox", "owl"], aspect_ratio=["1:1", "16:9"], repeat=2)`: a keyword is a
    slot if the template has it, else an input of the model; a list is an axis. `template` may also be a list of
    templates, or a DataFrame or CSV file with a column `prompt` or `template`. `slots` and `params` say explicitly
    which is which, `model` may be several, `zipped` names axes that move together, `[("animal", "place")]`; `sample`
    takes so many requests at random, the same ones for the same `sample_seed`. `raw` sends the text as it stands;
    `namespace` fills slots that nothing else fills. Raises `InputError` for whatever is wrong.
    """
    given = locals()
    with _workspace() as workspace:
        return workspace.plan(given.pop("template"), **given.pop("names"), **given)


@overload
def run(plan: Plan, /, **options: Unpack[RunKeywords]) -> Runs: ...
@overload
def run(
    plan: Prompts,
    /,
    *,
    model: str | Sequence[str] | None = None,
    repeat: int = 1,
    slots: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    raw: bool = False,
    zipped: Sequence[Any] = (),
    sample: int | None = None,
    sample_seed: int = 0,
    namespace: Mapping[str, Any] | None = None,
    experiment: str | None = None,
    tag: str | None = None,
    budget: float | None = None,
    resume: bool = False,
    jobs: int | None = None,
    timeout: float = _TIMEOUT_S,
    executor: Executor | None = None,
    hold: int | None = None,
    background: bool = False,
    **names: Any,
) -> Runs: ...
def run(
    plan: Plan | Prompts,
    input: Any = None,  # noqa: A002 - Replicate's call, which is told how it is written here
    /,
    *,
    model: str | Sequence[str] | None = None,
    repeat: int = 1,
    slots: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    raw: bool = False,
    zipped: Sequence[Any] = (),
    sample: int | None = None,
    sample_seed: int = 0,
    namespace: Mapping[str, Any] | None = None,
    experiment: str | None = None,
    tag: str | None = None,
    budget: float | None = None,
    resume: bool = False,
    jobs: int | None = None,
    timeout: float = _TIMEOUT_S,
    executor: Executor | None = None,
    hold: int | None = None,
    background: bool = False,
    **names: Any,
) -> Runs:
    """Run a plan to its end; or a template, which is planned first, with the keywords of `plan()`.

    `run("a {red|blue} fox", repeat=2, experiment="foxes")`. `budget` is US dollars: each request's estimate is
    reserved before it is sent, and the sweep stops cleanly before the limit would be passed. `resume` skips what
    already succeeded in this `experiment`, and picks up what still runs. `jobs` is the most predictions in flight,
    `timeout` seconds for one of them, from its POST to its file; `executor` any `concurrent.futures.Executor` to wait
    and fetch on, `hold` for how many seconds (60 at most) each create is held open. `background` returns at once: the
    `Runs` fill in, `.wait()` waits for them and `.cancel()` stops them. Raises `ImagenError` for what stopped it.
    """
    given = locals()
    if given.pop("input") is not None:
        names["input"] = input
    with _workspace() as workspace:
        return workspace.run(given.pop("plan"), **given.pop("names"), **given)


def frame(
    experiment: Names = None, status: Statuses = None, last: int | None = None, kind: str | None = None
) -> LogFrame:
    """The log as a DataFrame: one row a run, newest last, indexed by `run_id`; `.imagen` shows its pictures.

    `experiment` and `status` are one or several; the status "blocked" means what a safety filter refused. `last` takes
    the newest so many of those. `kind` "judge" gives what models were asked about pictures instead.
    """
    with _workspace() as workspace:
        return workspace.frame(experiment, status, last, kind)


def rate(run: Run | str, rating: int | None = None, note: str | None = None, favourite: bool | None = None) -> Run:
    """Write a rating (1 to 5), a note, or whether it is a favourite to the log, for a run or its id; gives the run.

    What is None stays as it is; a rating of 0 and a note of "" take it away.
    """
    with _workspace() as workspace:
        return workspace.rate(run, rating, note, favourite)


def models() -> pd.DataFrame:
    """What is known of each model, one row each: its price, what it is good for, its inputs, when it is retired."""
    with _workspace() as workspace:
        return workspace.models()


def reconcile(timeout: float = _TIMEOUT_S, *, adopt: Sequence[str] = ()) -> Runs:
    """Settle the rows that a dead kernel or a lost reply left open; nothing is ever sent again by this.

    Gives the runs it settled. `timeout` is seconds for one prediction; `adopt` are ids of predictions to make rows of,
    as a sweep or this named them.
    """
    with _workspace() as workspace:
        return workspace.reconcile(timeout, adopt=adopt)


def panel() -> Any:
    """The panel on the default workspace: a form, what runs, and the history; with the limits of `%config`."""
    from imagen_nb.notebook.panel import panel as make_panel

    return make_panel()  # on the default workspace as it is each time, which Workspace.panel() is not


def read_log(path: str | os.PathLike[str]) -> LogFrame:
    """The frame that `df.imagen.export()` wrote: a `.csv`, a `.parquet` or a folder; types as in the log's frame."""
    from imagen_nb.frames.read import read_log as read

    return cast("LogFrame", read(path))


def login(provider: str | None = None, token: str | None = None) -> None:
    """Ask for a provider's token with getpass and keep it in this process's memory only.

    `provider` is a known name or a base URL (default: what `IMAGEN_NB_PROVIDER` names, else the first known one).
    """
    from imagen_nb.shared import login as log_in

    log_in(provider, token)


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext imagen_nb`: the magics, their completion and the displays."""
    from imagen_nb.notebook import load_ipython_extension as load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """`%unload_ext imagen_nb`."""
    from imagen_nb.notebook import unload_ipython_extension as unload

    unload(ipython)


watch_pandas()
