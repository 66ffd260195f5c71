/* Keeps Jupyter's one-key commands away from the panel: without this, an arrow in a dropdown moves to another cell and
   two times d on a button deletes the cell. What is typed with Ctrl or Cmd stays Jupyter's, but for Ctrl+Enter in the
   form, which generates. */

const MARK = "data-lm-suppress-shortcuts";

/** Mark what has the focus before Jupyter looks at the key: it goes by the element, whichever way the event travels. */
function guard(event) {
  const { target, key } = event;
  const panel = target instanceof Element ? target.closest(".inb-panel") : null;
  if (!panel) return;
  const isCommand = event.ctrlKey || event.metaKey;
  const isGenerate = isCommand && key === "Enter" && target.closest(".inb-form");
  target.toggleAttribute(MARK, !isCommand || Boolean(isGenerate));
  if (!isGenerate) return;
  event.preventDefault();
  panel.querySelector(".inb-generate")?.click();
}

function render() {
  window.addEventListener("keydown", guard, { capture: true });
  return () => window.removeEventListener("keydown", guard, { capture: true });
}

export default { render };
