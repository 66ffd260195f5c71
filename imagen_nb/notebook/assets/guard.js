/* What the panel's stock controls lack. It keeps Jupyter's one-key commands away from them: without this, an arrow in a
   dropdown moves to another cell and two times d on a button deletes the cell. What is typed with Ctrl or Cmd stays
   Jupyter's, but for Ctrl+Enter in the form, which generates. It ties each control to the line below it, so that a
   screen reader reads its help and what is wrong with it. And it takes one to the form where a run was loaded into it. */

const MARK = "data-lm-suppress-shortcuts";
let count = 0;

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

/** Tie the controls of the form to their lines, as they come. */
function describe(panel) {
  for (const field of panel.querySelectorAll(".inb-field")) {
    const control = field.querySelector("input, select, textarea");
    const line = field.querySelector(".inb-message");
    if (!control || !line || control.getAttribute("aria-describedby")) continue;
    line.id ||= `inb-line-${++count}`;
    control.setAttribute("aria-describedby", line.id);
  }
}

/** Take the reader to a control of the form, and let it be seen that something was put there. */
function show(panel, name) {
  const form = panel.querySelector(".inb-form");
  const control = form?.querySelector(`.inb-at-${name} :is(input, textarea)`);
  if (!control) return;
  form.scrollIntoView({ block: "nearest" });
  control.focus({ preventScroll: true });
  form.classList.remove("inb-filled");
  void form.offsetWidth; // lets the animation begin anew
  form.classList.add("inb-filled");
}

function render({ model, el }) {
  const panel = () => el.closest(".inb-panel");
  const watch = new MutationObserver(() => panel() && describe(panel()));
  const heard = (content) => content?.show && panel() && show(panel(), content.show);
  // the panel is put around this only after it was made
  requestAnimationFrame(() => {
    if (!panel()) return;
    watch.observe(panel(), { childList: true, subtree: true });
    describe(panel());
  });
  window.addEventListener("keydown", guard, { capture: true });
  model.on("msg:custom", heard);
  return () => {
    watch.disconnect();
    model.off("msg:custom", heard);
    window.removeEventListener("keydown", guard, { capture: true });
  };
}

export default { render };
