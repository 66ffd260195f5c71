"""Where the package meets IPython and ipywidgets: the magics, completion, the live view, the panel, the widgets.

Never here: what a line means, what is sent, what a row holds, how a run becomes HTML; other rooms are asked for that.
"""

from __future__ import annotations

from typing import Any

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: Any) -> None:
    """Add the magics, their completion and the displays to a shell; loading twice changes nothing."""
    from imagen_nb.notebook.extension import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take everything out of the shell again."""
    from imagen_nb.notebook.extension import unload

    unload(shell)
