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
    workspace.py   opens all that is below for one home and one provider; the notebook's default one, and login
    sweeps/        runs a plan: the handle, the life of one request, the search for a lost one
    frames/        what df.imagen shows of a frame and writes of it; accessor.py is its front door
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

from importlib import import_module
from typing import TYPE_CHECKING, Any

from imagen_nb.hook import watch_pandas

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from imagen_nb.frames.read import read_log
    from imagen_nb.planning.plan import Plan
    from imagen_nb.records import Image, Request, Run, Status
    from imagen_nb.sweeps.sweep import Runs
    from imagen_nb.workspace import Workspace

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
    "panel",
    "plan",
    "read_log",
    "reconcile",
    "run",
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
    "read_log": "imagen_nb.frames.read",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'imagen_nb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def _workspace() -> Workspace:
    from imagen_nb.workspace import default_workspace

    return default_workspace()


def generate(prompt: str, /, **options: Any) -> Run:
    """Make one image from a prompt, in the default workspace: `Workspace.generate`, with its options.

    They are `model timeout experiment tag slots params`, and any slot of the prompt or input of the model by its name.
    """
    return _workspace().generate(prompt, **options)


def plan(template: Any, /, **names: Any) -> Plan:
    """The ordered requests of a template over its slots and parameters; nothing is sent: `Workspace.plan`.

    The names are slots, or inputs of the model, or `model repeat slots params raw zipped sample sample_seed namespace`.
    """
    return _workspace().plan(template, **names)


def run(plan: Plan, **options: Any) -> Runs:
    """Run a plan to its end, in the default workspace: `Workspace.run`, with its options.

    They are `experiment tag budget resume jobs timeout executor hold`.
    """
    return _workspace().run(plan, **options)


def frame(experiment: str | None = None, status: str | None = None) -> pd.DataFrame:
    """The default workspace's log as a DataFrame; see `Workspace.frame`."""
    return _workspace().frame(experiment=experiment, status=status)


def reconcile(timeout: float | None = None, *, adopt: Sequence[str] = ()) -> Runs:
    """Settle the rows that a dead kernel or a lost reply left open; nothing is sent. See `Workspace.reconcile`.

    `timeout` is seconds for one prediction, by default as many as a cell's `--timeout`; `adopt` are ids of predictions
    to make rows of.
    """
    options = {} if timeout is None else {"timeout": timeout}
    return _workspace().reconcile(**options, adopt=adopt)


def panel() -> Any:
    """The panel on the default workspace: a form, what runs, and the history; with the limits of `%config`."""
    from imagen_nb.notebook.panel import panel as make_panel

    return make_panel()


def login(provider: str | None = None, token: str | None = None) -> None:
    """Ask for a provider's token with getpass and keep it in this process's memory only.

    `provider` is a known name or a base URL (default: what `IMAGEN_NB_PROVIDER` names, else the first known one).
    """
    from imagen_nb.workspace import login as log_in

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
