/* Runs as tiles: a listbox that the arrow keys walk through. Space or a click picks a run, with Shift a second one; Enter
   or a double click enlarges its image.

   The kernel sets `items` (what to show), `picked` (run ids, two at most) and `adding` (the next pick is a second one).
   Thumbnails come once in the state as `thumbs`, and later one by one as messages. What has come meanwhile is held back
   while somebody is at the tiles, so that nothing moves under the pointer; a button shows it. */

import { chip, Deck, element, LargeView, openDialog } from "./large.js";

const PICKED_AT_MOST = 2;
const GONE = "The image file is missing.";

/** What the tile shows where the image will be, or would have been. */
function hollow(item, isGone) {
  const made = element("div", "inb-tile-hollow");
  if ((item.picture && !isGone) || !item.run) {
    made.classList.add("inb-tile-coming");
    return made;
  }
  made.append(chip(item.word, item.tone));
  const why = isGone ? GONE : item.why;
  if (why) made.append(element("span", "inb-tile-why", why));
  return made;
}

function thumbnail(item, src) {
  const image = element("img", "inb-tile-image");
  image.src = src;
  image.alt = item.alt;
  image.draggable = false;
  return image;
}

function tileName(item, at, count) {
  const marks = [item.rating ? `rated ${item.rating} of 5` : "", item.favourite ? "favourite" : ""];
  const parts = [item.alt, item.word, item.why, item.figures, ...marks];
  return `Run ${at + 1} of ${count}: ${parts.filter(Boolean).join("; ")}`;
}

/** One place for a run; `fill` brings it up to date and touches only what changed. */
function makeTile() {
  const tile = element("div", "inb-tile");
  tile.setAttribute("role", "option");
  // Jupyter's one-key commands must not act on what is typed here
  tile.dataset.lmSuppressShortcuts = "true";
  const frame = element("div", "inb-tile-frame");
  const badge = element("span", "inb-tile-badge");
  // for the mouse only: an option may hold no control, and the keyboard has Enter
  const larger = element("span", "inb-tile-larger", "⤢");
  larger.setAttribute("aria-hidden", "true");
  larger.title = "Enlarge";
  const caption = element("div", "inb-tile-caption");
  const figures = element("div", "inb-tile-figures");
  tile.append(frame, badge, larger, caption, figures);
  let drawn = "";

  function fill(item, pictures, at, count) {
    const src = pictures.get(item.picture);
    const isGone = pictures.isGone(item.picture);
    const look = JSON.stringify([item, src, isGone]);
    tile.setAttribute("aria-label", tileName(item, at, count));
    if (look === drawn) return;
    drawn = look;
    tile.dataset.run = item.run;
    tile.toggleAttribute("aria-disabled", !item.run);
    frame.replaceChildren(src ? thumbnail(item, src) : hollow(item, isGone));
    larger.hidden = !src;
    tile.title = item.alt;
    caption.textContent = item.caption;
    const marks = "★".repeat(item.rating) + (item.favourite ? "♥" : "");
    figures.textContent = [marks, item.figures].filter(Boolean).join(" · ");
  }

  function mark(letter, isPicked) {
    tile.setAttribute("aria-selected", String(isPicked));
    badge.textContent = letter;
    badge.hidden = !letter;
  }

  return { tile, fill, mark };
}

/** How many tiles stand in one row, so that up and down go where the eye expects. */
function columns(tiles) {
  const top = tiles[0]?.offsetTop;
  const wrapped = tiles.findIndex((tile) => tile.offsetTop !== top);
  return wrapped === -1 ? tiles.length : wrapped;
}

function pickedAfter(picked, run, isSecond) {
  if (!isSecond) return [run];
  if (picked.includes(run)) return picked.filter((one) => one !== run);
  return [...picked.slice(-(PICKED_AT_MOST - 1)), run];
}

const isSecondPick = (event) => event.shiftKey || event.ctrlKey || event.metaKey;

/** One gallery on the page; a model may have several. */
class GalleryView {
  #made = [];
  #current = 0;
  #large = null;
  #dialog = null;
  #isOver = false;
  #page = "";

  constructor({ model, el, deck }) {
    Object.assign(this, { model, el, deck, items: [] });
    el.classList.add("inb", "inb-gallery-host");
    this.box = element("div", "inb-gallery");
    this.box.setAttribute("role", "listbox");
    this.box.setAttribute("aria-multiselectable", "true");
    this.empty = element("p", "inb-gallery-empty inb-dim");
    this.newer = element("button", "inb-button inb-newer");
    this.newer.type = "button";
    // stays in the page, so that a screen reader notices when its text changes
    this.said = element("p", "inb-unseen");
    this.said.setAttribute("role", "status");
    el.append(this.newer, this.box, this.empty, this.said);
    this.newer.addEventListener("click", () => this.draw({ isAsked: true }));
    this.box.addEventListener("keydown", (event) => this.#pressed(event));
    this.box.addEventListener("click", (event) => this.#clicked(event));
    this.box.addEventListener("dblclick", (event) => this.enlarge(this.#at(event)));
    this.box.addEventListener("pointerenter", () => (this.#isOver = true));
    this.box.addEventListener("pointerleave", () => {
      this.#isOver = false;
      this.draw();
    });
    this.box.addEventListener("focusout", (event) => {
      if (!this.box.contains(event.relatedTarget)) setTimeout(() => this.draw());
    });
  }

  get tiles() {
    return this.#made.map(({ tile }) => tile);
  }

  draw({ isAsked = false } = {}) {
    const { model, deck } = this;
    const fresh = model.get("items") ?? [];
    const unseen = isAsked ? [] : this.#heldBack(fresh);
    this.items = unseen.length ? this.#asTheyWere(fresh) : fresh;
    this.#page = model.get("page");
    this.newer.hidden = unseen.length === 0;
    this.newer.textContent = `Show ${unseen.length} newer`;
    deck.small.keep(new Set([...fresh, ...this.items].map((item) => item.picture)));
    while (this.#made.length > this.items.length) this.#made.pop().tile.remove();
    this.items.forEach((item, at) => this.#place(at).fill(item, deck.small, at, this.items.length));
    this.#enter(this.#current);
    this.box.setAttribute("aria-label", model.get("label"));
    this.box.style.setProperty("--inb-tile", `${model.get("tile")}px`);
    this.box.style.setProperty("--inb-shape", String(model.get("shape")));
    this.box.toggleAttribute("data-single", model.get("single"));
    this.box.hidden = this.items.length === 0;
    this.empty.hidden = this.items.length > 0;
    this.empty.textContent = model.get("empty");
    this.drawMarks();
  }

  drawMarks() {
    const picked = this.model.get("picked") ?? [];
    this.items.forEach((item, at) => {
      const place = item.run ? picked.indexOf(item.run) : -1;
      this.#made[at]?.mark(picked.length > 1 && place >= 0 ? "AB"[place] : "", place >= 0);
    });
  }

  /** What has come from the kernel for the large view. */
  hear() {
    if (this.#large) this.#large.refresh();
  }

  /** The order of all runs has come: stay with the one that is on show. */
  follow(order) {
    if (!this.#large) return;
    const { run } = this.#large;
    this.deck.order = order.includes(run) ? order : this.deck.order;
    this.#large.show(run);
  }

  pick(at, isSecond) {
    const run = this.items[at]?.run;
    if (!run) return;
    this.model.set("picked", pickedAfter(this.model.get("picked"), run, isSecond || this.model.get("adding")));
    this.model.set("adding", false);
    this.model.save_changes();
  }

  enlarge(at) {
    const { deck, items } = this;
    if (!items[at]?.run) return;
    this.#enter(at);
    deck.forget();
    deck.order = [...new Set(items.map((item) => item.run).filter(Boolean))];
    const tiles = () => this.items;
    const number = items.slice(0, at).filter((item) => item.run === items[at].run).length;
    this.#large = new LargeView({ deck, tiles, moved: (run) => this.#enterRun(run) });
    this.#dialog = openDialog(this.#large, this.el, () => this.#returned());
    this.#large.show(items[at].run, number);
    deck.ask("order");
  }

  close() {
    this.#dialog?.close();
  }

  #returned() {
    this.#large = this.#dialog = null;
    this.deck.forget();
    this.tiles[this.#current]?.focus();
    this.draw();
  }

  /** The runs that may not be shown yet, because that would move what somebody is at. */
  #heldBack(fresh) {
    const isUsed = this.#isOver || this.box.contains(document.activeElement) || this.#large;
    const isPicked = this.items.some((item) => item.run && this.model.get("picked").includes(item.run));
    const moves = this.items.some((item, at) => fresh[at] && fresh[at].key !== item.key);
    if (!moves || !(isUsed || isPicked) || this.#page !== this.model.get("page")) return [];
    const known = new Set(this.items.map((item) => item.key));
    return fresh.filter((item) => !known.has(item.key));
  }

  /** The items on show, each as it is now. */
  #asTheyWere(fresh) {
    const now = new Map(fresh.map((item) => [item.key, item]));
    return this.items.map((item) => now.get(item.key) ?? item);
  }

  #place(at) {
    if (!this.#made[at]) {
      this.#made[at] = makeTile();
      this.box.append(this.#made[at].tile);
    }
    return this.#made[at];
  }

  /** Let Tab enter the gallery at this tile. */
  #enter(at) {
    this.#current = Math.max(0, Math.min(at, this.items.length - 1));
    this.tiles.forEach((tile, place) => (tile.tabIndex = place === this.#current ? 0 : -1));
  }

  #enterRun(run) {
    const at = this.items.findIndex((item) => item.run === run);
    if (at >= 0) this.#enter(at);
  }

  #move(to) {
    this.#enter(to);
    this.tiles[this.#current]?.focus();
  }

  #at(event) {
    return this.tiles.indexOf(event.target.closest(".inb-tile"));
  }

  #clicked(event) {
    const at = this.#at(event);
    if (at < 0) return;
    this.#move(at);
    if (event.target.closest(".inb-tile-larger")) this.enlarge(at);
    else this.pick(at, isSecondPick(event));
  }

  #pressed(event) {
    const at = this.#at(event);
    const steps = {
      ArrowRight: () => this.#move(at + 1),
      ArrowLeft: () => this.#move(at - 1),
      ArrowDown: () => this.#move(at + columns(this.tiles)),
      ArrowUp: () => this.#move(at - columns(this.tiles)),
      Home: () => this.#move(0),
      End: () => this.#move(this.items.length - 1),
      Enter: () => this.enlarge(at),
      " ": () => this.pick(at, isSecondPick(event)),
    };
    if (at < 0 || !steps[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    steps[event.key]();
  }
}

/** A module for each model: its images are kept here, whatever views come and go. */
export default () => {
  const views = new Set();
  let deck;

  function heard(content, buffers) {
    if (content?.kind === "order") views.forEach((view) => view.follow(content.runs));
    else if (deck.hear(content, buffers)) views.forEach((view) => (view.hear(), view.draw()));
  }

  function initialize({ model }) {
    deck = new Deck(model);
    for (const [key, bytes] of Object.entries(model.get("thumbs") ?? {})) deck.small.put(key, bytes);
    model.on("msg:custom", heard);
    return () => {
      deck.forget();
      deck.small.keep(new Set());
    };
  }

  function render({ model, el }) {
    const view = new GalleryView({ model, el, deck });
    const draw = () => view.draw();
    const mark = () => view.drawMarks();
    const say = () => (view.said.textContent = model.get("said"));
    const watched = ["change:items", "change:label", "change:tile", "change:empty"];
    for (const change of watched) model.on(change, draw);
    model.on("change:picked", mark);
    model.on("change:said", say);
    views.add(view);
    draw();
    return () => {
      views.delete(view);
      view.close();
      for (const change of watched) model.off(change, draw);
      model.off("change:picked", mark);
      model.off("change:said", say);
    };
  }

  return { initialize, render };
};
