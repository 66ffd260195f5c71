"""The workspace that a notebook's cells share: the magic, the panel, `df.imagen` and the package's functions use it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imagen_nb.errors import InputError
from imagen_nb.settings import login_provider, remember
from imagen_nb.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from imagen_nb.log.log import Log

Opener = Callable[[Workspace | None], Workspace]
"""Gives the workspace it is handed where that still is the right one, else one that it opens."""

_lock = threading.RLock()
_default: Workspace | None = None
_opener: Opener | None = None


def default_workspace() -> Workspace:
    """The notebook's workspace, opened on first use: as the notebook's extension is configured, else the environment.

    One whose log was deleted or moved away is dropped, and so is one for which the environment names another provider,
    token or model by now; a notice of the new one says so. Raises `SettingsError`.
    """
    global _default  # noqa: PLW0603 - one notebook, one default workspace
    with _lock:
        old = _default
        is_lost = old is not None and old.is_open and not old.log.is_there
        current = None if is_lost else old
        _default = _opener(current) if _opener is not None else renew(current)
        if is_lost and old is not None:
            _default.notices.append(f"The log in {old.home} was moved or deleted; a new one is begun.")
        return _default


def renew(current: Workspace | None, **options: Any) -> Workspace:
    """The workspace where the environment still says what it was opened with; else a new one in its home.

    A notice of the new one says what is another now. `options` are those of `Workspace` for a new one.
    """
    if current is not None and current.is_current:
        return current
    if current is None:
        return Workspace(**options)
    made = Workspace(**{"home": current.home, **options})
    old, new = current.settings, made.settings
    changes = []
    if new.provider != old.provider:
        token = " with another token" if new.provider.name == old.provider.name else ""
        changes.append(f"{new.provider.name} answers{token}")
    if new.model != old.model:
        changes.append(f"the model is {new.model}")
    made.notices.append(f"The environment has changed: from here on {' and '.join(changes)}.")
    return made


def log_of(frame: pd.DataFrame) -> Log:
    """The log that the frame's runs are in: that of the home where their images are, else the default one.

    Raises `InputError` for a frame without runs, and for runs that are not all in one log.
    """
    from imagen_nb.frames.runs import homes_of, values
    from imagen_nb.records import INDEX
    from imagen_nb.views.words import count

    ids = list(dict.fromkeys(str(run_id) for run_id in values(frame, INDEX) if run_id is not None))
    homes = homes_of(frame)
    if len(homes) > 1:
        names = ", ".join(sorted(map(str, homes)))
        raise InputError(f"these runs are in several homes: {names}", "Take the runs of one home at a time.")
    if homes and not (_default is not None and _default.home == homes[0]):
        from imagen_nb.log.log import Log

        log = Log(homes[0])
    else:
        log = default_workspace().log
    unknown = len(ids) - len(log.run_ids(ids=ids))
    if unknown or not ids:
        raise InputError(
            f"{count(unknown, 'run')} of this frame cannot be found in the log of {log.home}"
            if ids
            else "this frame has no runs",
            "Take a frame of imagen_nb.frame(): filter and sort it as you like, and keep its index.",
        )
    return log


@contextmanager
def workspace_of(frame: pd.DataFrame) -> Iterator[Workspace]:
    """The workspace of the log that the frame's runs are in: the default one, or one that is open for so long.

    Raises `InputError` as `log_of` does.
    """
    log, default = log_of(frame), default_workspace()
    if log.home == default.home:
        if log is not default.log:
            log.close()
        yield default
        return
    log.close()
    with Workspace(home=log.home) as other:
        yield other


def set_default_workspace(workspace: Workspace | None) -> None:
    """Make `workspace` the default; None lets the next use open a fresh one."""
    global _default  # noqa: PLW0603 - one notebook, one default workspace
    with _lock:
        _default = workspace


def set_workspace_opener(opener: Opener) -> None:
    """Let `opener` decide from now on which workspace is the default one."""
    global _opener  # noqa: PLW0603 - one notebook, one opener
    with _lock:
        _opener = opener


def remove_workspace_opener(opener: Opener) -> None:
    """Take `opener` back, and with it the workspace that it gave; what runs there goes on."""
    global _opener  # noqa: PLW0603 - one notebook, one opener
    with _lock:
        if _opener == opener:
            _opener = None
            set_default_workspace(None)


def login(provider: str | None = None, token: str | None = None) -> str:
    """Ask for the token of `provider` with getpass and keep it in memory; gives the provider's name.

    The default workspace is opened anew at its next use, so that the token counts at once.
    """
    name = provider or login_provider()
    if token is None:
        import getpass

        token = getpass.getpass(f"Token for {name} (not shown): ")
    remember(name, token)
    set_default_workspace(None)
    return name
