"""What `%load_ext imagen_nb` adds to a shell, and `%unload_ext` takes out again.

Nothing heavy is imported here: pandas, ipywidgets, SQLAlchemy, Pillow and requests wait for the cell that needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from IPython.core.completer import context_matcher

from imagen_nb import shared
from imagen_nb.hook import unwatch_pandas, watch_pandas
from imagen_nb.notebook.magic import ImagenMagics, keep_prompts_whole

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext

    from imagen_nb.sweeps.sweep import Runs

_FIRST = 100
"""The matcher's priority: above IPython's own, so that they are not even asked where it answers."""


@dataclass(frozen=True, slots=True)
class Addition:
    """What a shell was given of its own."""

    magics: ImagenMagics
    matcher: Callable[..., Any]


_additions: WeakKeyDictionary[Any, Addition] = WeakKeyDictionary()


def load(shell: Any) -> None:
    """Add the magics, their completion, live displays, `df.imagen`, and prompts that arrive whole.

    The default workspace is from now on the one that `%config ImagenMagics` asks for, whoever uses it.
    """
    if shell in _additions:
        return
    magics = ImagenMagics(shell)
    shell.register_magics(magics)
    shared.set_workspace_opener(magics.choose_workspace)

    def match(context: CompletionContext) -> Any:
        from imagen_nb.notebook.completion import NameSources, complete

        return complete(context, NameSources(magics.workspace, shell.user_ns))

    def show_runs(runs: Runs) -> None:
        from imagen_nb.notebook.live import show_running

        show_running(runs, shell)

    matcher: Callable[..., Any] = context_matcher(priority=_FIRST, identifier="imagen_nb")(match)
    shell.Completer.custom_matchers.append(matcher)
    shell.input_transformers_cleanup.append(keep_prompts_whole)
    watch_pandas()
    formatters = shell.display_formatter
    formatters.ipython_display_formatter.for_type_by_name("imagen_nb.sweeps.sweep", "Runs", show_runs)
    _additions[shell] = Addition(magics, matcher)


def unload(shell: Any) -> None:
    """Take it all out again, the default workspace too; what runs goes on."""
    addition = _additions.pop(shell, None)
    if addition is None:
        return
    for kind, names in ImagenMagics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    shell.magics_manager.registry.pop(ImagenMagics.__name__, None)
    shell.configurables.remove(addition.magics)
    shared.remove_workspace_opener(addition.magics.choose_workspace)
    shell.Completer.custom_matchers.remove(addition.matcher)
    shell.input_transformers_cleanup.remove(keep_prompts_whole)
    unwatch_pandas()
    formatters = shell.display_formatter
    formatters.ipython_display_formatter.pop("imagen_nb.sweeps.sweep.Runs", None)


def limits(shell: Any) -> dict[str, Any]:
    """The options of a panel that the shell's magics are configured with; none where they are not loaded."""
    addition = None if shell is None else _additions.get(shell)
    return {} if addition is None else addition.magics.limits
