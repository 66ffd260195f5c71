"""The panel through a real kernel, as a front end drives it: comm messages in, traits out, on every kernel."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernels import Kernel, started

from imagen_nb.simulator import Simulator

pytestmark = [pytest.mark.kernel, pytest.mark.xdist_group("panel kernel")]

SUPPORT = Path(__file__).parents[1] / "support"
SETUP = f"""
import json, sys, threading, time
sys.path.insert(0, {str(SUPPORT)!r})
import controls
panel = get_ipython().run_line_magic("imagen_panel", "")
def model(label): return controls.control(panel, label).model_id
def is_done(): return "Done" in controls.text(panel)
def is_read(): return any(each.empty == "Nothing in the log yet." for each in controls.of_kind(panel, "Gallery"))
controls.until(is_read)
"""


@pytest.fixture(scope="module")
def service() -> Iterator[Simulator]:
    with Simulator(latency=1.0) as running:
        yield running


@pytest.fixture
def kernel(service: Simulator, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel with a panel."""
    with started(tmp_path, IMAGEN_NB_PROVIDER=service.base_url, HOME=str(tmp_path)) as running:
        for cell in ("%load_ext imagen_nb", SETUP):
            assert running.run(cell).status == "ok"
        yield running


def told(kernel: Kernel, expression: str) -> Any:
    cell = kernel.run(f"print(json.dumps({expression}))")
    assert cell.status == "ok", cell.traceback
    return json.loads(cell.of("stream")[-1]["text"])


def send(kernel: Kernel, comm: str, **data: Any) -> None:
    """A message to a widget, as the page sends it."""
    kernel.client.shell_channel.send(kernel.client.session.msg("comm_msg", {"comm_id": comm, "data": data}))


def write(kernel: Kernel, label: str, value: Any) -> None:
    send(kernel, told(kernel, f"model({label!r})"), method="update", state={"value": value}, buffer_paths=[])


def click(kernel: Kernel, comm: str) -> None:
    send(kernel, comm, method="custom", content={"event": "click"})


def test_it_goes_on_while_a_cell_runs(kernel: Kernel, service: Simulator) -> None:
    """Typing and a click submit at once; the images come in while the kernel is busy with a cell."""
    write(kernel, "Prompt", "a red fox")
    button = told(kernel, "model('Generate, about $0.04')")
    click(kernel, button)
    waiting = kernel.start(
        "end = time.monotonic() + 20\nwhile not is_done() and time.monotonic() < end: time.sleep(0.05)"
    )
    seen = kernel.end(waiting)
    assert seen.status == "ok"
    assert told(kernel, "is_done()")
    assert service.predictions[-1]["status"] == "succeeded"


def test_click_while_a_cell_runs_is_never_lost(kernel: Kernel, service: Simulator) -> None:
    """A click during a cell counts during it or right after it, as the kernel has it, and once."""
    write(kernel, "Prompt", "a blue fox")
    button = told(kernel, "model('Generate, about $0.04')")
    before = len(service.predictions)
    busy = kernel.start("time.sleep(1.5)")
    time.sleep(0.3)
    click(kernel, button)
    assert kernel.end(busy).status == "ok"
    assert kernel.run("controls.until(is_done)").status == "ok"
    assert [each["input"]["prompt"] for each in service.predictions[before:]] == ["a blue fox"]


def test_handlers_return_at_once(kernel: Kernel) -> None:
    """Whatever is typed or pressed takes the kernel less than 50 ms, and waits for nothing."""
    timing = """
def took(label, act):
    it = controls.control(panel, label)
    own, wall = time.thread_time(), time.monotonic()
    act(it)
    return time.thread_time() - own, time.monotonic() - wall
times = {
    "type": took("Prompt", lambda it: setattr(it, "value", "a {red|blue} fox")),
    "repeat": took("Repeats", lambda it: setattr(it, "value", 1000)),
    "reset": took("Repeats", lambda it: setattr(it, "value", 1)),
    "generate": took("Generate", lambda it: it.click()),
    "find": took("Find", lambda it: setattr(it, "value", "fox")),
}
"""
    assert kernel.run(timing).status == "ok"
    times = told(kernel, "times")
    assert max(own for own, _ in times.values()) < 0.05, times
    assert max(wall for _, wall in times.values()) < 1.0, "it waited for something"


def test_nothing_is_printed_into_cells(kernel: Kernel) -> None:
    """Threads write traits and nothing else, so that no cell shows what it did not do."""
    write(kernel, "Prompt", "a fox [fail]")
    click(kernel, told(kernel, "model('Generate, about $0.04')"))
    cell = kernel.run("controls.until(lambda: 'Failed' in controls.text(panel))")
    assert cell.status == "ok", cell.traceback
    assert not cell.of("stream")
    assert not cell.of("display_data")
