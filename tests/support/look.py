"""What a browser makes of a page beyond its pixels: contrast, the accessibility tree, and what axe finds wrong."""

from __future__ import annotations

from collections.abc import Sequence

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page

CONTROLS = {
    "button", "checkbox", "combobox", "listbox", "menuitem", "option", "progressbar", "radio", "slider", "spinbutton",
    "switch", "tab", "textbox", "link", "image", "img",
}  # fmt: skip
"""Roles that a screen reader announces by name; pictures are among them."""

CONTRAST = """element => {
  const parts = (color) => {
    const [r, g, b, alpha = 1] = color.match(/[\\d.]+/g).map(Number);
    return color.startsWith('color(srgb') ? [r * 255, g * 255, b * 255, alpha] : [r, g, b, alpha];
  };
  const light = (color) => color.slice(0, 3)
    .map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const over = (top, ground) => ground.map((part, at) => part * (1 - top[3]) + top[at] * top[3]);
  const grounds = [];
  for (let at = element; at; at = at.parentElement) grounds.unshift(parts(getComputedStyle(at).backgroundColor));
  const ground = grounds.reduce((below, top) => over(top, below), [255, 255, 255]);
  const [r, g, b, alpha] = parts(getComputedStyle(element).color);
  let opacity = alpha;
  for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
  const words = over([r, g, b, opacity], ground);
  const [one, other] = [light(words), light(ground)].sort((a, b) => b - a);
  return (one + 0.05) / (other + 0.05);
}"""


def contrast(words: Locator) -> float:
    """The contrast of a text with what is behind it, as WCAG counts it: 1 to 21."""
    return float(words.evaluate(CONTRAST))


def faint(shown: Locator, places: Sequence[str], *, least: float = 4.5) -> list[tuple[str, str, float]]:
    """The texts on show whose contrast is below `least`, each behind the selector that found it."""
    seen = f"""(elements) => elements
      .filter((element) => element.checkVisibility() && element.innerText.trim())
      .map((element) => [element.innerText, ({CONTRAST})(element)])"""
    found = [(place, words, ratio) for place in places for words, ratio in shown.locator(place).evaluate_all(seen)]
    assert found, "nothing was looked at"
    return [each for each in found if each[2] < least]


def nameless(page: Page, selector: str) -> list[str]:
    """The controls below an element that have no name in the accessibility tree, by their roles."""
    devtools = page.context.new_cdp_session(page)
    try:
        found = devtools.send("Runtime.evaluate", {"expression": f"document.querySelector({selector!r})"})
        tree = devtools.send("Accessibility.queryAXTree", {"objectId": found["result"]["objectId"]})["nodes"]
    finally:
        devtools.detach()
    shown = [node for node in tree if not node.get("ignored")]
    assert any(node["role"]["value"] in CONTROLS for node in shown), "the tree is empty: nothing was looked at"
    return [
        f"{node['role']['value']} ({node.get('backendDOMNodeId')})"
        for node in shown
        if node["role"]["value"] in CONTROLS and not node.get("name", {}).get("value", "").strip()
    ]


def axe_violations(page: Page, selector: str) -> list[str]:
    """What axe finds wrong in the elements that a selector finds, as `rule: the element`; fails where it saw no text.

    JupyterLab's body has no height and hides what is outside of it, for which axe takes everything for hidden.
    """
    before = page.evaluate(
        "() => { const was = document.body.style.height; document.body.style.height = '100vh'; return was; }"
    )
    found = Axe().run(page, selector).response
    page.evaluate("(height) => { document.body.style.height = height; }", before)
    looked_at = [*found["passes"], *found["violations"], *found["incomplete"]]
    assert any(each["id"] == "color-contrast" for each in looked_at), "no text was seen"
    return [f"{each['id']}: {node['html'][:300]}" for each in found["violations"] for node in each["nodes"]]
