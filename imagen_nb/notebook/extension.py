"""What `%load_ext imagen_nb` adds to a shell, and `%unload_ext` takes out again.

Nothing heavy is imported here: pandas, ipywidgets, SQLAlchemy, Pillow and requests wait for the cell that needs them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from IPython.core.completer import context_matcher

from imagen_nb import workspace as default
from imagen_nb.notebook.magic import ImagenMagics, keep_question_marks

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext

    from imagen_nb.sweeps.sweep import Runs

_FIRST = 100
"""The matcher's priority: above IPython's own, so that they are not even asked where it answers."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a shell was given."""

    magics: ImagenMagics
    matcher: Callable[..., Any]
    accessor: Callable[..., None]


_loaded: WeakKeyDictionary[Any, Loaded] = WeakKeyDictionary()


def load(shell: Any) -> None:
    """Add the magics, their completion, the display of running sweeps, `df.imagen`, and prompts that ask.

    The default workspace is from now on the one that `%config ImagenMagics` asks for, whoever uses it.
    """
    if shell in _loaded:
        return
    magics = ImagenMagics(shell)
    shell.register_magics(magics)
    shell.input_transformers_cleanup.append(keep_question_marks)
    _displays(shell).for_type_by_name("imagen_nb.sweeps.sweep", "Runs", _running(magics))
    matcher = _matcher(magics, shell)
    shell.Completer.custom_matchers.append(matcher)
    accessor = _accessor(shell)
    shell.events.register("pre_run_cell", accessor)
    default.open_with(magics.opened)
    _loaded[shell] = Loaded(magics, matcher, accessor)


def unload(shell: Any) -> None:
    """Take it all out again, the default workspace too; what runs goes on."""
    loaded = _loaded.pop(shell, None)
    if loaded is None:
        return
    for kind, names in ImagenMagics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    shell.magics_manager.registry.pop(ImagenMagics.__name__, None)
    shell.configurables.remove(loaded.magics)
    shell.input_transformers_cleanup.remove(keep_question_marks)
    _displays(shell).pop("imagen_nb.sweeps.sweep.Runs", None)
    shell.Completer.custom_matchers.remove(loaded.matcher)
    shell.events.unregister("pre_run_cell", loaded.accessor)
    default.open_no_more_with(loaded.magics.opened)
    if pair := sys.modules.get("imagen_nb.notebook.widgets"):
        pair.unregister(shell)


def limits(shell: Any) -> dict[str, Any]:
    """The options of a panel that the shell's magics are configured with; none where they are not loaded."""
    loaded = None if shell is None else _loaded.get(shell)
    return {} if loaded is None else loaded.magics.limits


def _displays(shell: Any) -> Any:
    return shell.display_formatter.ipython_display_formatter


def _matcher(magics: ImagenMagics, shell: Any) -> Callable[..., Any]:
    """What Tab asks."""

    def imagen_matcher(context: CompletionContext) -> dict[str, Any]:
        from imagen_nb.notebook.completion import Sources, answer

        return answer(context, Sources(magics.workspace, shell.user_ns))

    matcher: Callable[..., Any] = context_matcher(priority=_FIRST, identifier="imagen_nb")(imagen_matcher)
    return matcher


def _accessor(shell: Any) -> Callable[..., None]:
    """What gives DataFrames their `.imagen` before a cell that has the word; pandas is not imported for any other."""

    def prepare(info: Any) -> None:
        if ".imagen" in (info.raw_cell or ""):
            import imagen_nb.accessor  # noqa: F401 - registers the accessor
            from imagen_nb.notebook import widgets as pair

            pair.register(shell)

    return prepare


def _running(magics: ImagenMagics) -> Callable[[Runs], None]:
    """How a `Runs` is displayed while it is not done."""

    def show(runs: Runs) -> None:
        from imagen_nb.notebook.live import show_running

        show_running(runs, magics.live_thumb(), magics.shell)

    return show
