/* The large view in place, over the runs of a frame. */

import { Deck, LargeView } from "./large.js";

export default () => {
  const views = new Set();
  let deck;

  function heard(content, buffers) {
    if (!deck.hear(content, buffers)) return;
    for (const view of views) content.kind === "order" ? view.show(view.run ?? deck.order[0]) : view.refresh();
  }

  function initialize({ model }) {
    deck = new Deck(model);
    model.on("msg:custom", heard);
    deck.ask("order");
    return () => deck.forget();
  }

  function render({ model, el }) {
    const view = new LargeView({ deck, moved: (run) => {
      model.set("at", run);
      model.save_changes();
    } });
    el.classList.add("inb", "inb-rater");
    el.append(view.root);
    views.add(view);
    view.show(model.get("at") || deck.order[0]);
    if (!model.get("at")) view.root.focus({ preventScroll: true }); // only where it is new, and not after a reload
    return () => views.delete(view);
  }

  return { initialize, render };
};
