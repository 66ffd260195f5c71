"""The magic in a real kernel: the live view, what is left in the output, interrupting, and the background."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from kernels import Cell, Kernel, started

from imagen_nb.simulator import Simulator

pytestmark = [pytest.mark.kernel, pytest.mark.xdist_group("kernel")]  # one kernel for all of them

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def service() -> Iterator[Simulator]:
    """A simulator outside of the kernel."""
    with Simulator(latency=0.6) as running:
        yield running


@pytest.fixture(scope="module")
def kernel(service: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with the extension loaded."""
    folder = tmp_path_factory.mktemp("kernel")
    with started(folder, IMAGEN_NB_PROVIDER=service.base_url, HOME=str(folder)) as running:
        loaded = running.run("%load_ext imagen_nb")
        assert loaded.status == "ok", loaded.traceback
        yield running


def from_a_page(kernel: Kernel, code: str) -> str:
    """Begin a cell as JupyterLab does: the request names it."""
    content = {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    message = kernel.client.session.msg("execute_request", content, metadata={"cellId": "a-cell"})
    kernel.client.shell_channel.send(message)
    return str(message["header"]["msg_id"])


def until(is_so: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def value(kernel: Kernel, expression: str) -> Any:
    """A value from the kernel, by way of JSON."""
    cell = kernel.run(f"import json; print(json.dumps({expression}))")
    assert cell.status == "ok", cell.traceback
    return json.loads(cell.of("stream")[-1]["text"])


def left(cell: Cell) -> list[dict[str, Any]]:
    """The outputs as a notebook keeps them: each display id's last data, and the result."""
    kept: dict[str, dict[str, Any]] = {}
    for number, message in enumerate(cell.messages):
        if message["msg_type"] in ("display_data", "update_display_data", "execute_result"):
            name = message["content"].get("transient", {}).get("display_id", str(number))
            kept[name] = message["content"]["data"]
    return list(kept.values())


def test_live_view_in_a_page_is_a_widget_and_leaves_none(kernel: Kernel) -> None:
    """In JupyterLab the bar and the images come in a widget; afterwards there is static output, the result once."""
    cell = kernel.end(from_a_page(kernel, "%imagen -n 4 -j 2 a red fox"))
    assert cell.status == "ok", cell.traceback
    (first, *_) = cell.of("display_data")
    assert WIDGET in first["data"]
    states = [content["data"]["state"] for content in cell.of("comm_msg") if "state" in content["data"]]
    shown = [state["html"] for state in states if "html" in state]
    assert "of 4" in first["data"]["text/html"], "for a page that knows no widgets"
    assert any("of 4" in html for html in shown)
    assert any("data:image/webp" in html for html in shown)
    blank, result = left(cell)
    assert (blank["text/plain"], blank["text/html"]) == ("", "")
    assert "4 of 4 succeeded" in result["text/plain"]
    assert WIDGET not in result


def test_html_stands_beside_every_widget(kernel: Kernel) -> None:
    """Where a page knows no widgets, HTML of the same cell says what is there and what to do."""
    assert kernel.run("some = %imagen -q a {red|blue} fox").status == "ok"
    for code in ("%imagen_panel", "some.frame().imagen.rate()", "some.frame().imagen.judge(by='slot_1')"):
        shown = left(kernel.run(code))
        assert sum(WIDGET in data for data in shown) == 1
        assert all("text/html" in data for data in shown)
        assert "run this cell again" in "".join(data["text/html"] for data in shown)


def test_one_widget_at_most_is_kept(kernel: Kernel) -> None:
    """A sweep's widgets are given back when the next one begins."""
    count = "len(__import__('ipywidgets').widgets.widget._instances)"
    kernel.end(from_a_page(kernel, "%imagen a red fox"))
    before = value(kernel, count)
    kernel.end(from_a_page(kernel, "%imagen a red fox"))
    assert value(kernel, count) == before


def test_assigned_result_leaves_a_line(kernel: Kernel) -> None:
    """Where the result is kept and not shown, a line says what became of it, with the reasons of failures."""
    good = kernel.run("r = %imagen a red fox")
    (line,) = left(good)
    assert line["text/plain"].startswith("1 succeeded")
    bad = kernel.run("r = %imagen [fail] a red fox")
    (line,) = left(bad)
    assert "1 failed" in line["text/plain"]
    assert "stopped with an error" in line["text/html"]


def test_quiet_sends_nothing(kernel: Kernel) -> None:
    """With -q the cell has no output at all, and `_` holds the run."""
    cell = kernel.run("%imagen -q a red fox")
    assert left(cell) == []
    assert value(kernel, "str(_.status)") == "succeeded"


def test_view_is_slow_and_small(kernel: Kernel) -> None:
    """At most four updates a second, each of a bounded size."""
    began = time.monotonic()
    cell = kernel.run("%imagen -n 60 --yes -j 20 a red fox")
    seconds = time.monotonic() - began
    assert cell.status == "ok", cell.traceback
    updates = cell.of("update_display_data")
    assert 2 <= len(updates) <= 4 * seconds + 2
    assert max(len(json.dumps(update["data"])) for update in updates) < 400_000


def test_interrupt_ends_the_cell_as_interrupted(kernel: Kernel, service: Simulator) -> None:
    """An interrupt cancels what is in flight, logs it, and says in two lines what was done and how to go on."""
    before = len(service.predictions)
    cell = kernel.start("%imagen -e stopped -o part -n 6 -j 3 [stuck] a red fox")
    until(lambda: len(service.predictions) == before + 3)
    began = time.monotonic()
    kernel.interrupt()
    ended = kernel.end(cell)
    assert time.monotonic() - began < 8
    assert ended.status == "error"
    (error,) = ended.of("error")
    assert error["ename"] == "Interrupted"
    assert len(ended.traceback) == 2
    assert "3 not sent" in ended.traceback[0]
    assert "--resume goes on with the experiment stopped" in ended.traceback[1]
    assert len(service.predictions) == before + 3
    assert value(kernel, "sorted(str(run.status) for run in part)") == ["canceled"] * 3
    assert kernel.run("6 * 7").status == "ok"


def test_second_interrupt_does_not_wait(kernel: Kernel, service: Simulator) -> None:
    """Interrupting again ends the cell at once."""
    before = len(service.predictions)
    cell = kernel.start("%imagen -n 2 [stuck] a red fox")
    until(lambda: len(service.predictions) == before + 2)
    kernel.interrupt()
    time.sleep(0.1)
    began = time.monotonic()
    kernel.interrupt()
    ended = kernel.end(cell)
    assert ended.status == "error"
    assert time.monotonic() - began < 2.5
    kernel.run("import time; time.sleep(0.5)")


def test_quick_second_interrupt_loses_nothing(kernel: Kernel) -> None:
    """Two interrupts in a row end the cell with the counts, the runs and the images that were there."""
    cell, images = kernel.start("%imagen -o part -j 4 a {red|blue|white|[stuck]} fox"), 0
    while images < 3:
        (update,) = kernel.until(cell, "update_display_data").of("update_display_data")
        images = update["data"]["text/html"].count("data:image")
    kernel.interrupt()
    kernel.interrupt()
    ended = kernel.end(cell)
    first, *others = ended.of("error")
    assert first["ename"] == "Interrupted"
    # On a busy machine the second one may come while IPython is printing what the first one led to.
    assert {each["ename"] for each in others} <= {"KeyboardInterrupt"}
    assert "3 of 4 finished and logged" in ended.traceback[0]
    assert left(ended)[0]["text/html"].count("data:image") == 3
    assert value(kernel, "[str(run.status) for run in part][:3]") == ["succeeded"] * 3


def test_interrupt_under_verbose_tracebacks(kernel: Kernel, service: Simulator) -> None:
    """Under `%xmode Verbose` the interrupted cell is still two lines, without frames and their variables."""
    kernel.run("%xmode Verbose")
    before = len(service.predictions)
    cell = kernel.start("%imagen [stuck] a red fox")
    until(lambda: len(service.predictions) == before + 1)
    kernel.interrupt()
    assert len(kernel.end(cell).traceback) == 2
    kernel.run("%xmode Context")


def test_background_display_fills_in(kernel: Kernel) -> None:
    """A running sweep's display fills in by itself, and ends as static output with every image."""
    cell = kernel.start("%imagen --background -o later -n 2 a red fox")
    first = kernel.until(cell, "display_data")
    assert "of 2" in first.of("display_data")[0]["data"]["text/plain"]
    kernel.end(cell)
    kernel.run("later.wait(); import time; time.sleep(1.0)")
    shown = kernel.run("later")
    (result,) = shown.of("execute_result")
    assert "2 of 2 succeeded" in result["data"]["text/plain"]


def test_background_display_ends_static(kernel: Kernel) -> None:
    """The last update of a background display is the result itself."""
    kernel.run("later = %imagen -q --background -n 2 a red fox")
    drawing = "any(thread.name == 'imagen-live' for thread in threading.enumerate())"
    cell = kernel.run(f"import threading, time\ndisplay(later)\nwhile {drawing}:\n    time.sleep(0.02)")
    assert cell.status == "ok", cell.traceback
    (result,) = left(cell)
    assert "2 of 2 succeeded" in result["text/plain"]
    assert result["text/html"].count("data:image/webp") == 2


def test_executed_notebook_holds_static_output_only(tmp_path: Path, service: Simulator, monkeypatch: Any) -> None:
    """A notebook run by nbclient keeps the result, no widget and no state of one."""
    from nbclient import NotebookClient

    monkeypatch.setenv("IMAGEN_NB_PROVIDER", service.base_url)
    cells = ["%load_ext imagen_nb", "%imagen a red fox", "r = %imagen -n 2 a red fox", "%imagen -q a fox", "r"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "widgets" not in notebook.metadata
    assert WIDGET not in json.dumps(notebook)
    outputs = [cell.outputs for cell in notebook.cells]
    assert [each.output_type for each in outputs[1]] == ["display_data", "execute_result"]
    assert "data:image/webp" in outputs[1][1].data["text/html"]
    assert outputs[2][0].data["text/plain"].startswith("2 of 2 succeeded")
    assert outputs[3] == []
    assert outputs[4][0].data["text/html"].count("data:image/webp") == 2
    nbformat.validate(notebook)
