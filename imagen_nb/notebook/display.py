"""What a cell shows of a magic's result, decided where IPython decides it: in the display hook.

A magic cannot know whether its value will be shown (`%imagen …` alone) or kept (`r = %imagen …`). The hook can: it is
called with the value or it is not. So for the rest of the cell IPython's hook is wrapped; IPython puts its own back
when the cell ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from IPython.core.displayhook import CapturingDisplayHook, DisplayHook


class ResultHook:
    """A display hook that knows some values: those that stay silent, and those before which something is to be done."""

    def __init__(self, shell: Any, hook: Callable[[Any], None]) -> None:
        self._shell = shell
        self._hook = hook
        self._silent: list[Any] = []
        self._before: list[tuple[Any, Callable[[], None]]] = []

    def silence(self, value: Any) -> None:
        """Keep this value out of the output; `_` and `Out` still get it."""
        self._silent.append(value)

    def before(self, value: Any, action: Callable[[], None]) -> None:
        """Call `action` just before this value is shown, if it is."""
        self._before.append((value, action))

    def __call__(self, value: Any = None) -> None:
        if any(value is each for each in self._silent):
            remember(self._shell, value)
            return
        for each, action in self._before:
            if value is each:
                action()
        self._hook(value)


def result_hook(shell: Any) -> ResultHook | None:
    """The hook in force for the rest of this cell; None outside of a cell, where nothing is displayed."""
    current = sys.displayhook
    if isinstance(current, ResultHook):
        return current
    if not isinstance(current, DisplayHook | CapturingDisplayHook):
        return None
    hook = ResultHook(shell, current)
    sys.displayhook = hook
    return hook


def remember(shell: Any, value: Any) -> None:
    """What IPython's hook does with a value besides showing it: `_`, `Out`, and the result of `run_cell`."""
    hook = shell.displayhook
    hook.check_for_underscore()
    hook.update_user_ns(value)
    hook.fill_exec_result(value)
