"""The README's pictures, from a real JupyterLab and the built-in simulator: `python tests/browser/screenshots.py`.

Writes `docs/cell.png`, `grid.png`, `panel.png`, `compare.png` and `ranking.png`, or into the folder named on the
command line.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from lab import Lab, browsing, serving, until  # noqa: E402 - from where the tests keep it
from PIL import Image  # noqa: E402 - as above
from playwright.sync_api import Locator, expect  # noqa: E402 - as above

SCALE = 1.5
HEIGHT = 1900
COLOURS = 256
ANIMALS = "fox owl hare crow lynx stag wren carp newt toad seal kite"
VOTES = """
df, taste, dice = im.frame("inks"), {"oil": 0, "ink": 1.6, "wash": 1.3}, random.Random(25)
for _, few in df.groupby("animal"):
    for (a, one), (b, other) in combinations(few.iterrows(), 2):
        gap = taste[one["style"]] - taste[other["style"]] + dice.gauss(0, 1.5)
        _ = im.Workspace().vote(a, b, "a" if gap > 0 else "b", by="style")
"""
PLAIN = """
  .jp-Collapser, .jp-CellHeader, .jp-cell-toolbar, .jp-Toolbar { visibility: hidden !important; }
  .jp-Cell { outline: none !important; border-color: transparent !important; box-shadow: none !important; }
  .jp-InputArea-editor.jp-InputArea-editor { box-shadow: none; }
  .cm-cursorLayer { display: none; }
"""
"""What marks the cell that is being edited says nothing in a picture."""


def cell(lab: Lab) -> Locator:
    """One prompt, its picture, what it cost."""
    book = lab.notebook("cell", ["%load_ext imagen_nb", "%imagen -a 16:9 a red fox in fresh snow, morning light"])
    book.run(0)
    expect(book.run(1).locator("img")).to_have_count(1)
    return book.cell(1)


def grid(lab: Lab) -> Locator:
    """An experiment as a matrix."""
    sources = [
        "%load_ext imagen_nb",
        "%%imagen -q -e foxes -a 1:1,16:9,3:4\na fox in {style=oil paint|ink|watercolour}",
        "_.frame().imagen.grid(rows='style', cols='aspect_ratio')",
    ]
    book = lab.notebook("grid", sources)
    book.run_all(2)
    expect(book.run(2).locator("img")).to_have_count(9)
    return book.cell(2)


def panel(lab: Lab) -> Locator:
    """The panel in mid-run, with a history."""
    sources = [
        "%load_ext imagen_nb",
        "%imagen -q -e lighthouse a lighthouse at {dawn|noon|dusk}",
        "%imagen_panel",
    ]
    book = lab.notebook("panel", sources)
    book.run_all(3)
    shown = book.output(2)
    expect(shown.locator(".inb-history").get_by_role("img")).to_have_count(3)
    write(shown, "a {red fox|snowy owl} in {oil paint|ink}", "16:9")
    expect(shown.locator(".inb-card").get_by_role("img")).to_have_count(4, timeout=40_000)
    expect(shown.locator(".inb-history .inb-tile")).to_have_count(7)
    shown.locator(".inb-history .inb-tile").nth(1).click()
    expect(shown.locator(".inb-details")).to_contain_text("succeeded")
    write(shown, "a harbour in the rain, long exposure", "16:9")
    expect(shown.locator(".inb-card").first).to_contain_text("Running")
    shown.get_by_role("button", name="Show 1 newer").click()
    expect(shown.locator(".inb-history .inb-tile")).to_have_count(8)
    return book.cell(2)


def compare(lab: Lab) -> Locator:
    """Two runs and what differs."""
    sources = ["%load_ext imagen_nb", "r = %imagen -q a fox in {oil paint|ink}", "r.frame().imagen.compare(0, 1)"]
    book = lab.notebook("compare", sources)
    book.run_all(3)
    expect(book.output(2).get_by_role("slider")).to_be_visible()
    return book.cell(2)


def ranking(lab: Lab) -> Locator:
    """What 36 votes of a seeded taste tell of three styles."""
    sources = [
        "%load_ext imagen_nb\nimport imagen_nb as im, random\nfrom itertools import combinations",
        f"animal = {ANIMALS.split()}",
        "%%imagen -q --yes -e inks\na {animal} in {style=oil|ink|wash}",
        VOTES,
        "df.imagen.ranking(by='style')",
    ]
    book = lab.notebook("ranking", sources)
    book.run_all(4)
    expect(book.run(4)).to_contain_text("ink beats oil")
    return book.cell(4)


def write(shown: Locator, prompt: str, shape: str) -> None:
    """Fill the form and generate."""
    shown.get_by_label("Prompt", exact=True).fill(prompt)
    shown.get_by_label("Aspect ratio").select_option(shape)
    shown.get_by_role("button", name="Generate").click()


def taken(lab: Lab, scene: Callable[[Lab], Locator], width: int) -> bytes:
    """The scene as a PNG of few colours, which the simulator's flat pictures do not miss."""
    lab.page.set_viewport_size({"width": width, "height": HEIGHT})
    place = scene(lab)
    lab.page.add_style_tag(content=PLAIN)
    lab.page.mouse.move(0, 0)
    until(lambda: place.locator("img").evaluate_all("all => all.every(image => image.complete)"))
    image = Image.open(io.BytesIO(place.screenshot(animations="disabled"))).convert("RGB")
    file = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    lab.do("docmanager:save")
    lab.do("notebook:shutdown-kernel")
    lab.do("application:close-all")
    return file.getvalue()


SCENES = {cell: 1080, grid: 820, panel: 1240, compare: 820, ranking: 1240}
"""Each with the width of the window, in CSS pixels."""


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browsing() as browser, serving(Path(folder) / "server") as server:
        lab = Lab.opened(browser, server, device_scale_factor=SCALE)
        for scene, width in SCENES.items():
            path = target / f"{scene.__name__}.png"
            path.write_bytes(taken(lab, scene, width))
            sys.stdout.write(f"{path} {path.stat().st_size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    main()
