"""How quick the panel and stock widgets are in a real JupyterLab; the benchmark's part `browser` compares them."""

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
from logged import fill_log  # noqa: E402 - as above
from playwright.sync_api import Locator, expect  # noqa: E402 - as above

from imagen_nb.log.log import Log  # noqa: E402 - as above
from imagen_nb.records import Request  # noqa: E402 - as above
from imagen_nb.simulator import Simulator  # noqa: E402 - as above

ROWS = 1000
KERNELS, ROUNDS = 3, 8
LATENCY_S = 1.0
LARGE_PX = 1024
TIMED = """
import time
began = time.perf_counter()
p = get_ipython().run_line_magic("imagen_panel", "")
p._repr_mimebundle_()
print(f"{time.perf_counter() - began:.4f}")
"""
STOCK_BOX = """
import time
began = time.perf_counter()
import ipywidgets
box = ipywidgets.VBox([ipywidgets.Text() for _ in range(50)])
box._repr_mimebundle_()
print(f"{time.perf_counter() - began:.4f}")
"""
STOCK = """
import ipywidgets
button, box = ipywidgets.Button(description="Answer"), ipywidgets.VBox()
button.on_click(lambda _: setattr(box, "children", [*box.children, ipywidgets.HTML("<i class='answer'>yes</i>")]))
ipywidgets.VBox([button, box])
"""
ANSWER = """(output) => {
  window.answered = null;
  const before = output.querySelectorAll(".answer").length;
  output.querySelector("button").addEventListener("click", () => { window.clicked = Date.now(); }, { once: true });
  const look = () => {
    if (output.querySelectorAll(".answer").length > before) window.answered = Date.now() - window.clicked;
    else requestAnimationFrame(look);
  };
  look();
}"""
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


SEEN = """([act, find]) => new Promise((done) => {
  const began = performance.now();
  const element = document.querySelector(act.at);
  if (act.key) element.dispatchEvent(new KeyboardEvent("keydown", { key: act.key, bubbles: true, cancelable: true }));
  else element.click();
  const look = () => {
    const found = document.querySelector(find.at);
    if (found?.textContent.includes(find.text) && (!find.px || found.querySelector("img").naturalWidth >= find.px))
      done((performance.now() - began) / 1000);
    else requestAnimationFrame(look);
  };
  look();
})"""


def looks(book: Notebook) -> dict[str, list[float]]:
    """Seconds from a pick to the drawer, from Enter to the large picture with its settings, and from an arrow."""
    page = book.page
    strip = ".inb-history .inb-gallery"
    taken: dict[str, list[float]] = {"pick": [], "large": [], "next": []}

    def see(name: str, act: dict[str, str], **find: object) -> None:
        taken[name].append(page.evaluate(SEEN, [act, find]))

    for number in range(ROUNDS - 1):
        prompt = f"a fox, no. {ROUNDS - 1 - number}"
        tile = f"{strip} .inb-tile:nth-child({number + 1})"
        see("pick", {"at": tile}, at=".inb-details", text=prompt)
        see("large", {"at": tile, "key": "Enter"}, at=".inb-large", text=prompt, px=LARGE_PX)
        page.wait_for_function("() => document.querySelector('.inb-large').textContent.includes(' of 1,0')")
        page.wait_for_timeout(300)  # a reader looks, and the next comes meanwhile
        following = f"a fox, no. {ROUNDS - 2 - number}"
        see("next", {"at": ".inb-large", "key": "ArrowRight"}, at=".inb-large", text=following, px=LARGE_PX)
        page.keyboard.press("Escape")
    return taken


JUDGED = "import imagen_nb\nimagen_nb.frame().imagen.judge('style')"


def judged(lab: Lab) -> list[float]:
    """Seconds from an arrow to the next two of 1,000 pictures, painted; a reader looks at each pair for a moment."""
    book = lab.notebook("figures-judge", ["%load_ext imagen_nb", JUDGED])
    animals = [f"animal no. {number}" for number in range(ROWS // 3 + 1)]
    with Log(book.folder / "imagen_runs") as log:
        fill_log(log, animals=animals, size=(LARGE_PX, 768), kind="JPEG")
    book.run_all(2)
    taken = []
    for number in range(2 * ROUNDS):
        lab.page.wait_for_selector(f".inb-judge[data-shown='{number}'] img", timeout=60_000)
        lab.page.wait_for_timeout(1000)
        act = {"at": ".inb-judge", "key": "ArrowRight" if number % 2 else "ArrowLeft"}
        seen = {"at": f".inb-judge[data-shown='{number + 1}']", "text": "", "px": 500}
        taken.append(lab.page.evaluate(SEEN, [act, seen]))
    book.close()
    return taken


def answers(book: Notebook) -> list[float]:
    """For each press of a stock button: seconds until its handler's answer is on the page."""
    output = book.output(4)
    expect(output.get_by_role("button", name="Answer")).to_be_visible(timeout=30_000)
    taken = []
    for _ in range(ROUNDS):
        output.evaluate(ANSWER)
        output.get_by_role("button", name="Answer").click()
        output.page.wait_for_function("() => window.answered !== null", timeout=60_000)
        taken.append(output.page.evaluate("() => window.answered") / 1000)
    return taken


def measure() -> dict[str, float]:
    """Seconds by what they are of; medians where there are several."""
    panels = ["%load_ext imagen_nb", TIMED, TIMED, TIMED, "p"]
    boxes = ["1", STOCK_BOX, STOCK_BOX, STOCK_BOX, STOCK]
    first: dict[str, list[float]] = {"panel": [], "stock box": []}
    again: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(latency=LATENCY_S) as service,
        browsing() as browser,
        serving(Path(folder) / "server", IMAGEN_NB_PROVIDER=service.base_url) as server,
    ):
        lab = Lab.opened(browser, server)
        for number in range(KERNELS):
            for kind, sources in (("stock box", boxes), ("panel", panels)):
                book = lab.notebook(f"figures-{kind.split()[0]}-{number}", sources)
                filled(book.folder / "imagen_runs")
                book.run(0)
                first[kind].append(shown_in(book, 1))
                if number == KERNELS - 1:
                    again[kind] = [shown_in(book, at) for at in (2, 3)]
                    book.run(4)
                    time.sleep(1)
                    if kind == "stock box":
                        clicks = answers(book)
                    else:
                        took = rounds(book, service)
                        looked = looks(book)
                book.close()
        pairs = judged(lab)
    return {
        "stock box, first": statistics.median(first["stock box"]),
        "panel, first": statistics.median(first["panel"]),
        "stock box, again": statistics.median(again["stock box"]),
        "panel, again": statistics.median(again["panel"]),
        "click to a stock button's answer": statistics.median(clicks),
        "click to the submission's card": statistics.median(each["card"] for each in took),
        "completion to the picture": statistics.median(each["image"] for each in took),
        "pick to what is known of a run": statistics.median(looked["pick"]),
        "Enter to the large picture": statistics.median(looked["large"]),
        "an arrow to the next one": statistics.median(looked["next"]),
        "a vote to the next pair": statistics.median(pairs),
    }
