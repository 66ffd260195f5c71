"""The workspace that a notebook's cells share: the magic, the panel and the package's functions all use it."""

from __future__ import annotations

import getpass
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from imagen_nb import settings

if TYPE_CHECKING:
    from imagen_nb.workspace import Workspace

    Opener = Callable[[Workspace | None], Workspace]
    """Gives the workspace it is handed where that still is the right one, else one that it opens."""

_lock = threading.RLock()
_default: Workspace | None = None
_opener: Opener | None = None


def default_workspace() -> Workspace:
    """The notebook's workspace, opened on first use: as the notebook's extension is configured, else the environment.

    One whose log was deleted or moved away is dropped, and a notice of the new one says so. Raises `SettingsError`.
    """
    global _default  # noqa: PLW0603 - one notebook, one default workspace
    with _lock:
        old = _default
        is_lost = old is not None and old.is_open and not old.log.is_there
        _default = (_opener or _from_environment)(None if is_lost else old)
        if is_lost and old is not None:
            _default.notices.append(f"The log in {old.home} was moved or deleted; a new one is begun.")
        return _default


def set_default_workspace(workspace: Workspace | None) -> None:
    """Make `workspace` the default; None lets the next use open a fresh one."""
    global _default  # noqa: PLW0603 - one notebook, one default workspace
    with _lock:
        _default = workspace


def open_with(opener: Opener) -> None:
    """Let `opener` decide from now on which workspace is the default one."""
    global _opener  # noqa: PLW0603 - one notebook, one opener
    with _lock:
        _opener = opener


def open_no_more_with(opener: Opener) -> None:
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
    name = provider or settings.login_provider()
    if token is None:
        token = getpass.getpass(f"Token for {name} (not shown): ")
    settings.remember(name, token)
    set_default_workspace(None)
    return name


def _from_environment(current: Workspace | None) -> Workspace:
    from imagen_nb.workspace import Workspace

    return current or Workspace()
