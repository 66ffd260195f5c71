/* Runs as tiles: a listbox that the arrow keys walk through. Space or a click picks a run, with Shift a second one; Enter
   or a double click enlarges its image.

   The kernel sets `items` (what to show), `picked` (run ids, two at most) and `adding` (the next pick is a second one).
   Thumbnails come once in the state as `thumbs`, and later one by one as messages; larger images only on request. */

import { openLightbox } from "./lightbox.js";

const PICKED_AT_MOST = 2;

/** Image bytes by key, as addresses that an `<img>` can show. */
class Pictures {
  #addresses = new Map();

  /** No bytes stand for a file that is gone. */
  put(key, bytes) {
    this.drop(key);
    this.#addresses.set(key, bytes.byteLength ? URL.createObjectURL(new Blob([bytes], { type: "image/webp" })) : "");
  }

  get(key) {
    return this.#addresses.get(key) ?? "";
  }

  isGone(key) {
    return this.#addresses.get(key) === "";
  }

  drop(key) {
    if (this.get(key)) URL.revokeObjectURL(this.get(key));
    this.#addresses.delete(key);
  }

  /** Forget what is not among `keys`, so that a long session stays small. */
  keep(keys) {
    for (const key of [...this.#addresses.keys()]) if (!keys.has(key)) this.drop(key);
  }
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function chip(word, tone) {
  const made = element("span", "inb-chip");
  const dot = element("span", "inb-dot");
  dot.dataset.tone = tone;
  made.append(dot, word);
  return made;
}

const GONE = "The image file is missing.";

/** What the tile shows where the image will be, or would have been. */
function hollow(item, isGone) {
  const made = element("div", "inb-tile-hollow");
  if (item.picture && !isGone) {
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
  const parts = [item.alt, item.word, item.why, item.figures, item.rating ? `rated ${item.rating} of 5` : ""];
  return `Run ${at + 1} of ${count}: ${parts.filter(Boolean).join("; ")}`;
}

/** One tile; `fill` brings it up to date and touches only what changed. */
function makeTile(key, enlarge) {
  const tile = element("div", "inb-tile");
  tile.setAttribute("role", "option");
  tile.dataset.key = key;
  // Jupyter's one-key commands must not act on what is typed here
  tile.dataset.lmSuppressShortcuts = "true";
  const frame = element("div", "inb-tile-frame");
  const badge = element("span", "inb-tile-badge");
  const larger = element("button", "inb-tile-larger", "⤢");
  // for the mouse only: an option may hold no control, and the keyboard has Enter
  larger.type = "button";
  larger.tabIndex = -1;
  larger.setAttribute("aria-hidden", "true");
  larger.title = "Enlarge";
  larger.addEventListener("click", (event) => {
    event.stopPropagation();
    enlarge();
  });
  const caption = element("div", "inb-tile-caption");
  const figures = element("div", "inb-tile-figures");
  const rating = element("div", "inb-tile-figures");
  tile.append(frame, badge, larger, caption, figures, rating);
  let drawn = "";

  function fill(item, pictures, at, count) {
    const src = pictures.get(item.picture);
    const isGone = pictures.isGone(item.picture);
    const look = JSON.stringify([item, src, isGone]);
    tile.setAttribute("aria-label", tileName(item, at, count));
    tile.dataset.run = item.run;
    if (look === drawn) return;
    drawn = look;
    frame.replaceChildren(src ? thumbnail(item, src) : hollow(item, isGone));
    larger.hidden = !src;
    tile.title = item.alt;
    caption.textContent = item.caption;
    figures.textContent = item.figures;
    rating.textContent = "★".repeat(item.rating);
  }

  function mark(letter, isPicked) {
    tile.setAttribute("aria-selected", String(isPicked));
    badge.textContent = letter;
    badge.hidden = !letter;
  }

  return { tile, fill, mark };
}

/** Width over height of every tile: that of all images where they agree, else a square. */
function shapeOf(items) {
  const shapes = new Set(items.filter((item) => item.picture).map((item) => item.width / item.height));
  return shapes.size === 1 ? [...shapes][0] : 1;
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
  #made = new Map();
  #current = 0;
  #lightbox = null;

  constructor({ model, el, small, large }) {
    Object.assign(this, { model, el, small, large });
    el.classList.add("inb", "inb-gallery-host");
    this.box = element("div", "inb-gallery");
    this.box.setAttribute("role", "listbox");
    this.box.setAttribute("aria-multiselectable", "true");
    this.empty = element("p", "inb-gallery-empty inb-dim");
    // stays in the page, so that a screen reader notices when its text changes
    this.said = element("p", "inb-unseen");
    this.said.setAttribute("role", "status");
    el.append(this.box, this.empty, this.said);
    this.box.addEventListener("keydown", (event) => this.#pressed(event));
    this.box.addEventListener("click", (event) => this.#clicked(event));
    this.box.addEventListener("dblclick", (event) => this.enlarge(this.#at(event)));
  }

  get items() {
    return this.model.get("items") ?? [];
  }

  get tiles() {
    return this.items.map((item) => this.#made.get(item.key).tile);
  }

  draw() {
    const { items, model } = this;
    const pictures = new Set(items.map((item) => item.picture));
    this.small.keep(pictures);
    if (!this.#lightbox) this.large.keep(pictures);
    this.#drop(new Set(items.map((item) => item.key)));
    items.forEach((item, at) => this.#place(item.key, at).fill(item, this.small, at, items.length));
    this.#enter(this.#current);
    this.box.setAttribute("aria-label", model.get("label"));
    this.box.style.setProperty("--inb-tile", `${model.get("tile")}px`);
    this.box.style.setProperty("--inb-shape", String(shapeOf(items)));
    this.box.toggleAttribute("data-single", items.length === 1);
    this.box.hidden = items.length === 0;
    this.empty.hidden = items.length > 0;
    this.empty.textContent = model.get("empty");
    this.drawMarks();
    this.#lightbox?.refresh();
  }

  drawMarks() {
    const picked = this.model.get("picked") ?? [];
    for (const item of this.items) {
      const at = picked.indexOf(item.run);
      this.#made.get(item.key)?.mark(picked.length > 1 && at >= 0 ? "AB"[at] : "", at >= 0);
    }
  }

  pick(at, isSecond) {
    const run = this.items[at]?.run;
    if (!run) return;
    this.model.set("picked", pickedAfter(this.model.get("picked"), run, isSecond || this.model.get("adding")));
    this.model.set("adding", false);
    this.model.save_changes();
  }

  enlarge(at) {
    if (at < 0 || at >= this.items.length) return;
    this.#enter(at);
    this.#lightbox = openLightbox({
      host: this.el,
      slides: this.items,
      at,
      source: (slide) => this.large.get(slide.picture) || this.small.get(slide.picture),
      want: (slide) => this.large.get(slide.picture) || this.model.send({ kind: "large", key: slide.picture }),
      moved: (next) => this.#enter(next),
      closed: () => this.#returned(),
    });
  }

  close() {
    this.#lightbox?.close();
  }

  #returned() {
    this.#lightbox = null;
    this.draw();
    this.tiles[this.#current]?.focus();
  }

  #drop(keys) {
    for (const [key, { tile }] of [...this.#made]) {
      if (keys.has(key)) continue;
      tile.remove();
      this.#made.delete(key);
    }
  }

  #place(key, at) {
    const { box } = this;
    if (!this.#made.has(key)) {
      this.#made.set(key, makeTile(key, () => this.enlarge(this.items.findIndex((one) => one.key === key))));
    }
    const { tile } = this.#made.get(key);
    if (box.children[at] !== tile) box.insertBefore(tile, box.children[at] ?? null);
    return this.#made.get(key);
  }

  /** Let Tab enter the gallery at this tile. */
  #enter(at) {
    this.#current = Math.max(0, Math.min(at, this.items.length - 1));
    this.tiles.forEach((tile, place) => (tile.tabIndex = place === this.#current ? 0 : -1));
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
    this.pick(at, isSecondPick(event));
    this.#move(at);
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
  const small = new Pictures();
  const large = new Pictures();
  const views = new Set();

  function arrived(content, buffers) {
    const store = content?.kind === "large" ? large : small;
    (content?.keys ?? []).forEach((key, at) => store.put(key, buffers[at]));
    for (const view of views) view.draw();
  }

  function initialize({ model }) {
    for (const [key, bytes] of Object.entries(model.get("thumbs") ?? {})) small.put(key, bytes);
    model.on("msg:custom", arrived);
    return () => {
      small.keep(new Set());
      large.keep(new Set());
    };
  }

  function render({ model, el }) {
    const view = new GalleryView({ model, el, small, large });
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
