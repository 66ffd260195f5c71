"""How quick the panel is, measured in a real JupyterLab; the benchmark's part `browser` judges it."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from lab import Lab, Notebook, browsing, serving  # noqa: E402 - from where the tests keep it
from playwright.sync_api import Locator, expect  # noqa: E402 - as above

from imagen_nb.log.log import Log  # noqa: E402 - as above
from imagen_nb.records import Request  # noqa: E402 - as above
from imagen_nb.simulator import Simulator  # noqa: E402 - as above

ROWS = 1000
KERNELS, ROUNDS = 3, 8
LATENCY_S = 1.0
TIMED = """
import time
began = time.perf_counter()
p = get_ipython().run_line_magic("imagen_panel", "")
p._repr_mimebundle_()
print(f"{time.perf_counter() - began:.3f}")
"""
WATCH = """(panel, prompt) => {
  window.seen = {};
  const note = (name) => { window.seen[name] ??= Date.now(); };
  panel.querySelector(".inb-generate").addEventListener("click", () => note("click"), { once: true });
  const look = () => {
    const card = panel.querySelector(".inb-card");
    const isOurs = card?.querySelector(".inb-title")?.textContent === prompt;
    const image = isOurs ? card.querySelector("img") : null;
    if (isOurs) note("card");
    if (image?.complete && image.naturalWidth) note("image");
    else requestAnimationFrame(look);
  };
  look();
}"""


def filled(home: Path) -> None:
    """A log with so many runs."""
    requests = [Request("google/imagen-4", {"prompt": f"fox {n}"}, f"fox {n}") for n in range(ROWS)]
    with Log(home) as log:
        for run_id in log.intend(requests, provider="simulator"):
            log.settle(run_id, "failed", error="for the measurement")


def shown_in(book: Notebook, at: int) -> float:
    """Seconds that a cell said it took."""
    return float(book.run(at).inner_text().strip())


def rounds(book: Notebook, service: Simulator) -> list[dict[str, float]]:
    """For each press of Generate: seconds to the card, and from the server's completion to the picture."""
    shown = book.output(4).locator(".inb-panel")
    expect(shown.get_by_label("Prompt", exact=True)).to_be_visible(timeout=30_000)
    return [pressed(shown, service, number) for number in range(ROUNDS)]


def pressed(shown: Locator, service: Simulator, number: int) -> dict[str, float]:
    prompt = f"a fox, no. {number}"
    shown.get_by_label("Prompt", exact=True).fill(prompt)
    shown.evaluate(WATCH, prompt)
    shown.get_by_role("button", name="Generate").click()
    shown.page.wait_for_function("() => window.seen.image", timeout=60_000)
    seen: dict[str, float] = shown.page.evaluate("() => window.seen")
    done = datetime.fromisoformat(service.predictions[-1]["completed_at"].replace("Z", "+00:00")).timestamp()
    return {"card": (seen["card"] - seen["click"]) / 1000, "image": seen["image"] / 1000 - done}


def measured() -> dict[str, float]:
    """Seconds by what they are of; medians where there are several."""
    sources = ["%load_ext imagen_nb", TIMED, TIMED, TIMED, "p"]
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(latency=LATENCY_S) as service,
        browsing() as browser,
        serving(Path(folder) / "server", IMAGEN_NB_PROVIDER=service.base_url) as server,
    ):
        lab = Lab.opened(browser, server)
        first = []
        for number in range(KERNELS):
            book = lab.notebook(f"figures-{number}", sources)
            filled(book.folder / "imagen_runs")
            book.run(0)
            first.append(shown_in(book, 1))
            if number < KERNELS - 1:
                book.close()
        later = [shown_in(book, at) for at in (2, 3)]
        book.run(4)
        time.sleep(1)
        took = rounds(book, service)
    return {
        "first": statistics.median(first),
        "again": statistics.median(later),
        "card": statistics.median(each["card"] for each in took),
        "picture": statistics.median(each["image"] for each in took),
    }
