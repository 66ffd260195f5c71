"""A laboratory for text-to-image prompts in Jupyter: a magic, a panel, and a durable log that is a DataFrame.

`%load_ext imagen_nb` loads the magics. In Python: `generate` makes one image, `plan` and `run` an experiment, `frame`
is the log. They use the notebook's default workspace; `Workspace` opens another. Importing this module does nothing
but define names: what is heavy is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from imagen_nb.frames import read_log
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
    "read_log": "imagen_nb.frames",
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


def reconcile(timeout: float = 600.0) -> Runs:
    """Settle the rows that a dead kernel or a lost reply left open; nothing is sent. See `Workspace.reconcile`."""
    return _workspace().reconcile(timeout)


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
