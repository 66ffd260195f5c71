"""The workspace that a notebook's cells share: the magic, the panel and the package's functions all use it."""

from __future__ import annotations

import getpass

from imagen_nb import settings
from imagen_nb.workspace import Workspace

_default: Workspace | None = None


def default_workspace() -> Workspace:
    """The notebook's workspace, opened from the environment on first use."""
    global _default  # noqa: PLW0603 - one notebook, one default workspace
    if _default is None:
        _default = Workspace()
    return _default


def set_default_workspace(workspace: Workspace | None) -> None:
    """Make `workspace` the default; None lets the next use open a fresh one."""
    global _default  # noqa: PLW0603 - one notebook, one default workspace
    _default = workspace


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
