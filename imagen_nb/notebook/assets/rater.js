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
    const moved = (run) => {
      model.set("at", run);
      model.save_changes();
    };
    const view = new LargeView({ deck, moved });
    const isNew = !model.get("at");
    const focus = () => (el.isConnected ? view.root.focus({ preventScroll: true }) : requestAnimationFrame(focus));
    el.classList.add("inb", "inb-rater");
    el.append(view.root);
    views.add(view);
    view.show(model.get("at") || deck.order[0]);
    if (isNew) focus(); // the keys are for it as soon as it is there, but not after a reload
    return () => views.delete(view);
  }

  return { initialize, render };
};
