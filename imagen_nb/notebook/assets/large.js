/* One picture at a time, as large as there is room, with what is known of it, its marks, and the way to the original.
   It stands in place, or in a modal dialog: the browser keeps the focus inside one, closes it on Escape, and gives the
   focus back. The kernel is asked for what is near only, so that a log of any size can be gone through. */

/**
 * @typedef {object} Slide  one picture of a run, or the word that says why there is none
 * @property {string} run
 * @property {string | null} picture  the key of its image
 * @property {string} alt
 * @property {string} word  the run's state
 * @property {string} tone
 * @property {string} why  why there is no image
 * @property {string} figures
 * @property {number} width
 * @property {number} height
 * @property {number} rating  0 for none
 * @property {boolean} favourite
 * @property {string} [prompt]  this and the following once the kernel was asked for them
 * @property {string[][]} [facts]  names and values
 * @property {string} [note]
 * @property {string} [text]  what the model wrote
 * @property {string} [file]  what a copy of the image is called
 */

const PART_PAUSE_MS = 1100; // Jupyter's servers drop what comes faster than a megabyte a second
const TAB_MS = 60_000; // how long the tab of an original may take to show it
const STARS = [1, 2, 3, 4, 5];

export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

export function chip(word, tone) {
  const made = element("span", "inb-chip");
  const dot = element("span", "inb-dot");
  dot.dataset.tone = tone;
  made.append(dot, word);
  return made;
}

/** Image bytes by key, as addresses that an `<img>` can show. */
export class Pictures {
  #addresses = new Map();

  /** No bytes stand for a file that is gone. */
  put(key, bytes) {
    this.drop(key);
    this.#addresses.set(key, bytes.byteLength ? URL.createObjectURL(new Blob([bytes])) : "");
  }

  get(key) {
    return this.#addresses.get(key) ?? "";
  }

  has(key) {
    return this.#addresses.has(key);
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

/** What the kernel has told of the runs that a large view goes through; the views of a model share it. */
export class Deck {
  order = [];
  large = new Pictures();
  small = new Pictures();
  trouble = "";
  #slides = new Map();
  #asked = new Set();
  #originals = new Map();

  constructor(model) {
    this.model = model;
  }

  /** The slides of a run: as the kernel told them, else as a tile has them, else none yet. */
  slides(run, tiles = []) {
    return this.#slides.get(run) ?? tiles.filter((tile) => tile.run === run);
  }

  ask(kind, more = {}) {
    const said = JSON.stringify([kind, more]);
    if (this.#asked.has(said)) return;
    this.#asked.add(said);
    this.model.send({ kind, ...more });
  }

  /** Ask for what stands here and for its neighbours. */
  askNear(at) {
    const near = [at, at + 1, at - 1].map((place) => this.order[place]).filter(Boolean);
    const lacking = near.filter((run) => !this.#slides.has(run));
    if (lacking.length) this.ask("slides", { runs: lacking });
    for (const run of near) {
      const numbers = this.slides(run).map((slide, number) => (slide.picture ? number : -1));
      for (const number of numbers.filter((each) => each >= 0)) {
        if (!this.large.has(this.slides(run)[number].picture)) this.ask("large", { run, number });
      }
    }
  }

  /** Show a mark at once, and have it written. */
  mark(run, marks) {
    const slides = this.#slides.get(run);
    if (slides) this.#slides.set(run, slides.map((slide) => ({ ...slide, ...marks })));
    this.model.send({ kind: "rate", run, marks });
  }

  /** The original file as an address, once all of it has come; "" for one that is gone. */
  original(run, number) {
    const key = `${run}-${number}`;
    if (!this.#originals.has(key)) {
      let resolve;
      const promise = new Promise((done) => (resolve = done));
      this.#originals.set(key, { promise, resolve, parts: [] });
      this.model.send({ kind: "part", run, number, start: 0 });
    }
    return this.#originals.get(key).promise;
  }

  /** A message of the kernel; true where it was one for the large view. */
  hear(content, buffers) {
    const kind = content?.kind;
    if (kind === "order") this.order = content.runs;
    else if (kind === "slides") content.slides.forEach((slides) => this.#slides.set(slides[0].run, slides));
    else if (kind === "large" || kind === "small") content.keys.forEach((key, at) => this[kind].put(key, buffers[at]));
    else if (kind === "part") this.#joined(content, buffers[0]);
    else if (kind !== "trouble") return false;
    this.trouble = kind === "trouble" ? content.text : kind === "slides" ? "" : this.trouble;
    return true;
  }

  /** Forget what was asked and told, so that the next look sees the log as it is then. */
  forget() {
    this.#slides.clear();
    this.#asked.clear();
    for (const { promise } of this.#originals.values()) {
      promise.then((address) => setTimeout(() => URL.revokeObjectURL(address), TAB_MS));
    }
    this.#originals.clear();
    this.large.keep(new Set());
    this.order = [];
  }

  #joined({ run, number, size, mime }, bytes) {
    const found = this.#originals.get(`${run}-${number}`);
    if (!found) return;
    found.parts.push(bytes);
    const start = found.parts.reduce((sum, part) => sum + part.byteLength, 0);
    if (start >= size) found.resolve(size ? URL.createObjectURL(new Blob(found.parts, { type: mime })) : "");
    else setTimeout(() => this.model.send({ kind: "part", run, number, start }), PART_PAUSE_MS);
  }
}

/** The large view itself; `root` is to be put somewhere. `tiles()` gives what is known before the kernel has answered,
    `moved(run)` is told where the reader is. */
export class LargeView {
  #at = 0;
  #number = 0;

  constructor({ deck, tiles = () => [], moved = () => {} }) {
    Object.assign(this, { deck, tiles, moved });
    this.root = element("div", "inb inb-large");
    this.root.tabIndex = 0;
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "One run at a time");
    // Jupyter's one-key commands must not act on what is typed here
    this.root.dataset.lmSuppressShortcuts = "true";
    this.root.append(this.#makeStage(), this.#makeSide());
    this.root.addEventListener("keydown", (event) => this.#pressed(event));
  }

  get run() {
    return this.deck.order[this.#at];
  }

  get slides() {
    return this.deck.slides(this.run, this.tiles());
  }

  get slide() {
    return this.slides[this.#number] ?? this.slides[0];
  }

  /** Show a run, by its id, and one of its images. */
  show(run, number = this.#number) {
    this.#go(Math.max(0, this.deck.order.indexOf(run)), number);
  }

  /** Something has come from the kernel. */
  refresh() {
    this.deck.askNear(this.#at);
    this.draw();
  }

  draw() {
    const { slide, deck } = this;
    const src = slide?.picture ? deck.large.get(slide.picture) || deck.small.get(slide.picture) : "";
    const isGone = Boolean(slide?.picture) && deck.large.isGone(slide.picture);
    this.image.hidden = !src;
    this.hollow.hidden = Boolean(src);
    if (src && this.image.src !== src) this.image.src = src;
    this.hollow.textContent = isGone ? "The image file is missing." : slide?.why || "Being loaded.";
    this.image.alt = slide?.alt ?? "";
    this.image.style.maxWidth = `${slide?.width || 1}px`;
    this.image.style.maxHeight = `${slide?.height || 1}px`;
    const some = this.slides.length > 1 ? `image ${this.#number + 1} of ${this.slides.length}` : "";
    const all = deck.order.length.toLocaleString("en");
    this.place.textContent = [`${this.#at + 1} of ${all}`, some].filter(Boolean).join(" · ");
    this.earlier.disabled = !this.#step(-1);
    this.later.disabled = !this.#step(1);
    this.trouble.textContent = deck.trouble;
    if (slide) this.#drawSide(slide);
  }

  #drawSide(slide) {
    this.state.replaceChildren(chip(slide.word, slide.tone), element("span", "inb-dim", slide.figures));
    this.prompt.textContent = slide.prompt ?? slide.alt;
    this.stars.forEach((star, at) => {
      star.textContent = at < slide.rating ? "★" : "☆";
      star.setAttribute("aria-pressed", String(at + 1 === slide.rating));
    });
    this.heart.setAttribute("aria-pressed", String(Boolean(slide.favourite)));
    this.heart.textContent = slide.favourite ? "♥ Favourite" : "♡ Favourite";
    if (this.root.ownerDocument.activeElement !== this.note) this.note.value = slide.note ?? "";
    this.reason.textContent = slide.picture ? slide.why : "";
    this.answer.textContent = slide.text ?? "";
    this.facts.replaceChildren(
      ...(slide.facts ?? []).flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]),
    );
    for (const button of [this.open, this.download]) button.disabled = !slide.picture || !slide.file;
  }

  #makeStage() {
    const stage = element("div", "inb-large-stage");
    this.image = element("img", "");
    this.hollow = element("p", "inb-large-hollow");
    this.earlier = this.#button("inb-large-round inb-large-earlier", "‹", () => this.#move(-1), "Previous (←)");
    this.later = this.#button("inb-large-round inb-large-later", "›", () => this.#move(1), "Next (→)");
    this.place = element("p", "inb-large-place");
    this.place.setAttribute("aria-live", "polite");
    stage.append(this.image, this.hollow, this.earlier, this.later, this.place);
    return stage;
  }

  #makeSide() {
    const side = element("div", "inb-large-side");
    this.stars = STARS.map((rating) =>
      this.#button("inb-star", "☆", () => this.#rate(rating === this.slide?.rating ? 0 : rating), `${rating} of 5`),
    );
    const stars = element("div", "inb-stars");
    stars.setAttribute("role", "group");
    stars.setAttribute("aria-label", "Rating");
    this.heart = this.#button("inb-button", "", () => this.#mark({ favourite: !this.slide?.favourite }));
    stars.append(...this.stars, this.heart);
    const label = element("label", "inb-large-note", "Note");
    this.note = element("input", "");
    this.note.type = "text";
    this.note.addEventListener("change", () => this.#mark({ note: this.note.value }));
    label.append(this.note);
    this.open = this.#button("inb-button", "Open original", () => this.#openOriginal());
    this.download = this.#button("inb-button", "Download", () => this.#save());
    const files = element("div", "inb-buttons");
    files.append(this.open, this.download);
    for (const part of ["state", "prompt", "answer", "reason", "trouble"]) this[part] = element("div", `inb-large-${part}`);
    this.trouble.setAttribute("role", "alert");
    this.facts = element("dl", "inb-facts");
    const keys = element("p", "inb-dim", "1–5 rate, 0 clears · f favourite · n note · ← → move");
    side.append(this.state, this.prompt, this.answer, this.reason, stars, label, this.trouble, files, this.facts, keys);
    return side;
  }

  #button(className, text, act, name = "") {
    const made = element("button", className, text);
    made.type = "button";
    if (name) made.setAttribute("aria-label", name);
    if (name) made.title = name;
    made.addEventListener("click", act);
    return made;
  }

  /** Where a step leads, as run and image; null where it leads nowhere. */
  #step(by) {
    const number = this.#number + by;
    if (number >= 0 && number < this.slides.length) return [this.#at, number];
    const at = this.#at + by;
    if (!this.deck.order[at]) return null;
    const last = this.deck.slides(this.deck.order[at], this.tiles()).length - 1;
    return [at, by < 0 ? Math.max(0, last) : 0];
  }

  #move(by) {
    const next = this.#step(by);
    if (next) this.#go(...next);
  }

  #go(at, number) {
    if (at !== this.#at) this.note.blur();
    [this.#at, this.#number] = [at, number];
    this.deck.askNear(at);
    this.draw();
    if (this.run) this.moved(this.run, this.#number);
  }

  #rate(rating) {
    this.#mark({ rating });
  }

  #mark(marks) {
    if (!this.slide) return;
    this.deck.mark(this.run, marks);
    this.draw();
  }

  /** In a tab of its own, which must be opened before the file has come: later a browser would not allow it. */
  async #openOriginal() {
    const tab = window.open("", "_blank");
    const address = await this.deck.original(this.run, this.#number);
    if (address && tab) tab.location.href = address;
    else tab?.close();
  }

  async #save() {
    const link = element("a", "");
    link.download = this.slide.file;
    link.href = await this.deck.original(this.run, this.#number);
    if (link.getAttribute("href")) link.click();
  }

  #pressed(event) {
    event.stopPropagation();
    const { key, target } = event;
    if (target === this.note) {
      if (key !== "Enter" && key !== "Escape") return;
      if (key === "Escape") this.note.value = this.slide?.note ?? "";
      event.preventDefault(); // Escape would close the dialog too
      this.root.focus();
      return;
    }
    const acts = {
      ArrowRight: () => this.#move(1),
      ArrowLeft: () => this.#move(-1),
      Home: () => this.#go(0, 0),
      End: () => this.#go(this.deck.order.length - 1, 0),
      f: () => this.#mark({ favourite: !this.slide?.favourite }),
      n: () => this.note.focus(),
    };
    const act = /^[0-5]$/.test(key) ? () => this.#rate(Number(key)) : acts[key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }
}

/** The view in a modal dialog inside `host`; `closed()` is told when the reader has left. */
export function openDialog(view, host, closed) {
  const dialog = element("dialog", "inb inb-large-dialog");
  dialog.setAttribute("aria-label", "Enlarged image");
  const close = element("button", "inb-large-round inb-large-close", "✕");
  close.type = "button";
  close.setAttribute("aria-label", "Close");
  close.title = "Close (Esc)";
  close.dataset.lmSuppressShortcuts = "true";
  close.addEventListener("click", () => dialog.close());
  dialog.append(view.root, close);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
  });
  host.append(dialog);
  dialog.showModal();
  view.root.focus();
  return dialog;
}
