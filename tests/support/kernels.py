"""A real kernel on this Python, as a front end sees it: cells in, messages out."""

from __future__ import annotations

import contextlib
import os
import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

Message = dict[str, Any]


@dataclass
class Cell:
    """What one cell sent: its messages in order, and the reply to it."""

    messages: list[Message] = field(default_factory=list)
    reply: Message = field(default_factory=dict)

    def of(self, kind: str) -> list[Message]:
        """The contents of its messages of one kind, `display_data` say."""
        return [message["content"] for message in self.messages if message["msg_type"] == kind]

    @property
    def status(self) -> str:
        """`ok`, `error` or `aborted`."""
        return str(self.reply["status"])

    @property
    def text(self) -> str:
        """Everything it printed or showed as text."""
        streams = [content["text"] for content in self.of("stream")]
        shown = [content["data"].get("text/plain", "") for kind in RICH for content in self.of(kind)]
        return "\n".join([*streams, *shown])

    @property
    def traceback(self) -> list[str]:
        """The lines of its error, as a front end shows them."""
        return [line for content in self.of("error") for entry in content["traceback"] for line in entry.splitlines()]


RICH = ("display_data", "update_display_data", "execute_result")


class Kernel:
    """One kernel and the client of it."""

    def __init__(self, manager: KernelManager, client: Any) -> None:
        self.manager, self.client = manager, client

    def run(self, code: str, *, timeout: float = 60.0) -> Cell:
        """Run a cell to its end."""
        return self.end(self.start(code), timeout=timeout)

    def start(self, code: str) -> str:
        """Begin a cell; `end` or `until` goes on with it."""
        return str(self.client.execute(code))

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def until(self, cell: str, kind: str, *, timeout: float = 60.0) -> Cell:
        """Read a cell's messages up to the first of one kind."""
        seen, deadline = Cell(), time.monotonic() + timeout
        while not seen.of(kind):
            self._read(cell, seen, deadline)
        return seen

    def end(self, cell: str, *, timeout: float = 60.0) -> Cell:
        """Read a cell's messages to its end."""
        seen, deadline = Cell(), time.monotonic() + timeout
        while {"execution_state": "idle"} not in seen.of("status"):
            self._read(cell, seen, deadline)
        while not seen.reply:
            reply = self.client.get_shell_msg(timeout=max(deadline - time.monotonic(), 0.1))
            if reply["parent_header"].get("msg_id") == cell:
                seen.reply = reply["content"]
        return seen

    def _read(self, cell: str, seen: Cell, deadline: float) -> None:
        try:
            message = self.client.get_iopub_msg(timeout=max(deadline - time.monotonic(), 0.01))
        except queue.Empty:
            kinds = [each["msg_type"] for each in seen.messages]
            raise TimeoutError(f"the cell did not get there in time; it sent {kinds}") from None
        if message["parent_header"].get("msg_id") == cell:
            seen.messages.append(message)


@contextlib.contextmanager
def started(folder: Path, **variables: str) -> Iterator[Kernel]:
    """A kernel of this Python in `folder`, with these environment variables and no profile of the user's."""
    environment = {**os.environ, "IPYTHONDIR": str(folder / ".ipython"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    manager = KernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    manager.start_kernel(cwd=str(folder), env={**environment, **variables})
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
