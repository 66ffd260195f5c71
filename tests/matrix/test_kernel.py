"""What must work on every set of versions, through a real kernel; views and interrupts are in tests/notebook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kernels import Cell, Kernel, started

pytestmark = [pytest.mark.kernel, pytest.mark.xdist_group("matrix kernel")]  # one kernel for all of them


@pytest.fixture(scope="module")
def service() -> Iterator[Any]:
    """A simulator outside the kernel, so that what it was asked for can be seen."""
    from imagen_nb.simulator import Simulator

    with Simulator(latency=0.3) as running:
        yield running


@pytest.fixture(scope="module")
def kernel(service: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with the extension loaded."""
    folder = tmp_path_factory.mktemp("kernel")
    with started(folder, IMAGEN_NB_PROVIDER=service.base_url, HOME=str(folder)) as running:
        loaded = running.run("%load_ext imagen_nb")
        assert loaded.status == "ok", loaded.traceback
        yield running


def html(cell: Cell) -> str:
    """Everything a cell showed as HTML."""
    kinds = ("display_data", "update_display_data", "execute_result")
    return "\n".join(content["data"].get("text/html", "") for kind in kinds for content in cell.of(kind))


def value(kernel: Kernel, expression: str) -> Any:
    """A value from the kernel, by way of JSON."""
    cell = kernel.run(f"import json; print(json.dumps({expression}))")
    assert cell.status == "ok", cell.traceback
    return json.loads(cell.of("stream")[-1]["text"])


def test_prompt_becomes_picture_and_row(kernel: Kernel, service: Any) -> None:
    """`%imagen` shows an image inline, and leaves its row and the verbatim prompt."""
    before = len(service.predictions)
    cell = kernel.run("%imagen -o first a 'red'  fox, $5 {{x}}")
    assert cell.status == "ok", cell.traceback
    assert "data:image/" in html(cell)
    assert [each["input"]["prompt"] for each in service.predictions[before:]] == ["a 'red'  fox, $5 {x}"]
    assert value(kernel, "[str(first.status), first.images[0].width]") == ["succeeded", 1024]


def test_cell_magic_with_axes_fills_a_sweep(kernel: Kernel) -> None:
    """`%%imagen` with axes runs every combination and shows each."""
    cell = kernel.run("%%imagen -e axes -a 1:1,16:9 -o both\na {fox|owl}\nin snow")
    assert cell.status == "ok", cell.traceback
    assert value(kernel, "[str(run.status) for run in both]") == ["succeeded"] * 4
    assert value(kernel, "both.frame()['slot_1'].tolist()") == ["fox", "fox", "owl", "owl"]


def test_mistake_is_two_lines_and_the_kernel_lives(kernel: Kernel, service: Any) -> None:
    """A bad value fails the cell in two lines, before anything is sent."""
    before = len(service.predictions)
    cell = kernel.run("%imagen --aspect-ratio 7:5 a red fox")
    assert cell.status == "error"
    assert len(cell.traceback) <= 2
    assert "7:5" in "\n".join(cell.traceback)
    assert len(service.predictions) == before
    assert kernel.run("1").status == "ok"


def test_background_returns_at_once_and_fills_in(kernel: Kernel, service: Any) -> None:
    """`--background` returns before the images are there; `.wait()` has them all."""
    before = len(service.predictions)
    cell = kernel.run("%imagen --background -e back -n 8 -j 1 -o later a red fox")
    assert cell.status == "ok", cell.traceback
    assert len(service.predictions) < before + 8
    assert kernel.run("later.wait()").status == "ok"
    assert value(kernel, "[str(run.status) for run in later]") == ["succeeded"] * 8


def test_log_is_a_frame_and_the_accessor_shows_it(kernel: Kernel) -> None:
    """`%imagen_log` gives the DataFrame, and `.imagen` shows it as pictures."""
    assert kernel.run("%imagen -q -e shown -a 1:1,16:9 a {fox|owl}").status == "ok"
    assert kernel.run("log = %imagen_log --experiment shown").status == "ok"
    assert value(kernel, "[len(log), log.index.name]") == [4, "run_id"]
    shown = kernel.run("log.imagen.grid(rows='slot_1', cols='aspect_ratio')")
    assert shown.status == "ok", shown.traceback
    assert html(shown).count("data:image/") >= 4


def test_panel_opens(kernel: Kernel) -> None:
    """`%imagen_panel` gives a widget."""
    cell = kernel.run("%imagen_panel")
    assert cell.status == "ok", cell.traceback
    assert any("application/vnd.jupyter.widget-view+json" in shown["data"] for shown in cell.of("display_data"))
