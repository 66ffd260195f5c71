"""Gives every DataFrame its `.imagen` as soon as pandas is imported, by whomever, and never imports it itself."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ACCESSOR = "imagen_nb.accessor"


class PandasFinder:
    """Finds pandas where the other finders do, and has the accessor imported right behind it."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of pandas, its loader changed; None for any other module."""
        if name != "pandas":
            return None
        others = [each.find_spec for each in sys.meta_path if each is not self and hasattr(each, "find_spec")]
        spec = next(filter(None, (find(name, path, target) for find in others)), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                unwatch_pandas()
                import_module(ACCESSOR)

            # Not a loader of our own around it: whoever asks pandas for its files or its source asks the right one.
            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


_finder = PandasFinder()


def watch_pandas() -> None:
    """Have the accessor registered when pandas is imported; at once where it has been."""
    if sys.modules.get("pandas") is not None:
        import_module(ACCESSOR)
    elif _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def unwatch_pandas() -> None:
    """Leave the next import of pandas alone; frames that have their `.imagen` keep it."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
