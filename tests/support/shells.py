"""A shell in this process, as a plain IPython session has it: cells in, results and printed text out."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config


class Session:
    """One shell, and what its last cell wrote."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.out = ""
        self.err = ""
        self.error: BaseException | None = None
        self._before = set(threading.enumerate())

    def run(self, cell: str) -> Any:
        """Run a cell and give its result; what it wrote is in `out` and `err`, what it raised in `error`."""
        with capture_output(display=False) as written:
            done = self.shell.run_cell(cell, store_history=True)
        self.out, self.err, self.error = written.stdout, written.stderr, done.error_in_exec or done.error_before_exec
        return done.result

    def rest(self) -> None:
        """Wait until no worker of this shell's sweeps is left: one that broke has said its last words then."""
        deadline = time.monotonic() + 30.0
        while any(each.name.startswith("imagen-run") for each in set(threading.enumerate()) - self._before):
            assert time.monotonic() < deadline, "a worker goes on and on"
            time.sleep(0.01)

    def value(self, name: str) -> Any:
        """A variable of the notebook."""
        return self.shell.user_ns[name]

    def complete(self, text: str, *, after: str = "") -> list[str]:
        """What Tab offers at the end of `text`, as the whole words that would stand there."""
        from IPython.core.completer import provisionalcompleter

        with provisionalcompleter():
            found = list(self.shell.Completer.completions(text + after, len(text)))
        return [each.text for each in found]


@contextlib.contextmanager
def session(folder: Path, *, load: bool = True) -> Iterator[Session]:
    """A fresh shell with its profile in `folder` and the extension loaded."""
    config = Config()
    config.HistoryManager.enabled = False
    config.IPCompleter.use_jedi = False
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config, ipython_dir=str(folder / ".ipython"))
    try:
        if load:
            shell.run_line_magic("load_ext", "imagen_nb")
        yield Session(shell)
    finally:
        if "imagen_nb" in shell.extension_manager.loaded:
            shell.run_line_magic("unload_ext", "imagen_nb")
        atexit.unregister(shell.atexit_operations)
        shell.atexit_operations()
        InteractiveShell.clear_instance()
