/* Two pictures, and which is better: by key, by pointer, and as a screen reader tells it. The kernel numbers the pairs
   and sends each before it is needed; it is decoded here meanwhile, and shown once the answer before it is written. */

import { element } from "./large.js";

const KEYS = { ArrowLeft: "a", ArrowRight: "b", ArrowUp: "tie", ArrowDown: "neither" };
const SAID = { a: "Left", b: "Right", tie: "Tie", neither: "Neither" };
const KEPT = 2; // pairs before the one on show

/** One view of the widget; `pairs` by their number and what the kernel told last (`now`) belong to its model. */
class View {
  #decoded = new Map();
  #shown = -1;
  #since = 0;
  isWaiting = false; // for the answer to be written
  #answer = "";

  constructor(model, pairs, now) {
    this.model = model;
    this.pairs = pairs;
    this.now = now;
    const question = model.get("question");
    this.root = element("div", "inb-judge");
    this.root.tabIndex = 0;
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", question);
    this.root.dataset.lmSuppressShortcuts = "true";
    this.root.addEventListener("keydown", (event) => this.#pressed(event));
    this.place = element("span", "inb-dim");
    this.prompt = element("p", "inb-judge-prompt");
    this.sides = ["a", "b"].map((choice, at) => {
      const side = this.#button("inb-judge-side", "", () => this.#vote(choice));
      side.setAttribute("aria-keyshortcuts", ["ArrowLeft", "ArrowRight"][at]);
      return side;
    });
    this.toggle = this.#button("inb-button", "Hide prompt", () => this.#togglePrompt());
    this.back = this.#button("inb-button", "Take back ⌫", () => this.#takeBack());
    this.note = element("p", "inb-judge-note");
    this.said = element("p", "inb-unseen");
    this.said.setAttribute("role", "status");
    this.trouble = element("p", "inb-judge-trouble");
    this.trouble.setAttribute("role", "alert");
    this.result = element("p", "inb-judge-result");

    const head = element("div", "inb-judge-row");
    head.append(element("strong", "", question), this.place);
    const stage = element("div", "inb-judge-stage");
    stage.style.aspectRatio = 2 * model.get("shape");
    stage.append(...this.sides);
    const row = element("div", "inb-judge-row");
    row.append(
      this.#button("inb-button", "← Left", () => this.#vote("a")),
      this.#button("inb-button", "Tie ↑", () => this.#vote("tie")),
      this.#button("inb-button", "Neither ↓", () => this.#vote("neither")),
      this.#button("inb-button", "Right →", () => this.#vote("b")),
      element("span", "inb-judge-gap"),
      this.back,
      this.toggle,
      this.#button("inb-button", "Finish", () => this.model.send({ kind: "finish" })),
    );
    this.asking = [this.prompt, stage, row, this.note];
    this.root.append(head, ...this.asking, this.result, this.trouble, this.said);
    for (const number of pairs.keys()) this.decode(number);
    this.draw();
  }

  #button(className, text, act) {
    const made = element("button", className, text);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  }

  /** Make the pictures of a pair ready to be painted at once. */
  decode(number) {
    const { prompt, addresses } = this.pairs.get(number);
    const images = addresses.map((address, at) => {
      const image = new Image();
      image.alt = `${["Left", "Right"][at]} picture${prompt && ": "}${prompt}`;
      image.src = address;
      return image;
    });
    Promise.allSettled(images.map((image) => image.decode())).then(() => {
      this.#decoded.set(number, { prompt, images });
      this.draw();
    });
  }

  draw() {
    const { at, place, goal, note, end, trouble } = this.now;
    this.place.textContent = goal && !end ? `${place} of ${goal}` : "";
    this.note.textContent = note;
    this.trouble.textContent = trouble;
    this.result.textContent = end;
    const held = document.activeElement;
    this.back.disabled = at < 1;
    for (const part of this.asking) part.hidden = Boolean(end);
    if (this.root.contains(held) && (held.disabled || held.closest("[hidden]"))) this.root.focus();
    if (end) this.#say(end);
    if (trouble) this.isWaiting = false;
    const pair = this.#decoded.get(at);
    if (end || !pair || this.#shown === at) return;
    this.sides.forEach((side, number) => side.replaceChildren(pair.images[number]));
    this.prompt.textContent = pair.prompt;
    this.prompt.title = pair.prompt;
    this.#shown = at;
    this.#since = performance.now();
    this.root.dataset.shown = at;
    this.#say(`${this.#answer}${place} of ${goal}. ${pair.prompt}`);
    for (const number of this.#decoded.keys()) if (!this.pairs.has(number)) this.#decoded.delete(number);
  }

  #say(text) {
    if (this.said.textContent !== text) this.said.textContent = text;
  }

  #vote(choice) {
    const { at, end } = this.now;
    if (this.isWaiting || this.#shown !== at || end) return;
    this.isWaiting = true;
    this.#answer = `${SAID[choice]}. `;
    this.model.send({ kind: "vote", at, choice, seconds: (performance.now() - this.#since) / 1000 });
  }

  #takeBack() {
    if (this.isWaiting || !this.now.at || this.now.end) return;
    this.#answer = "Taken back. ";
    this.model.send({ kind: "back" });
  }

  #togglePrompt() {
    const isHidden = this.root.classList.toggle("inb-judge-blind");
    this.toggle.textContent = isHidden ? "Show prompt" : "Hide prompt";
  }

  #pressed(event) {
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const choice = KEYS[event.key];
    if (!choice && event.key !== "Backspace") return;
    event.preventDefault();
    if (event.repeat) return; // a key that is held down is one answer
    choice ? this.#vote(choice) : this.#takeBack();
  }
}

export default () => {
  const views = new Set();
  const pairs = new Map();
  const now = { at: -1, place: 0, goal: 0, note: "", end: "", trouble: "" };
  let isNew;

  function heard(content, buffers) {
    const { kind, text, ...told } = content;
    if (kind === "turn") {
      Object.assign(now, told, { trouble: "" });
      for (const view of views) view.isWaiting = false;
    } else if (kind === "note") now.note = told.note;
    else if (kind === "end" || kind === "trouble") now[kind] = text;
    else if (kind === "pair") {
      drop(told.at);
      pairs.set(told.at, { prompt: told.prompt, addresses: buffers.map((bytes) => URL.createObjectURL(new Blob([bytes]))) });
      for (const view of views) view.decode(told.at);
    }
    for (const number of [...pairs.keys()]) if (number < now.at - KEPT) drop(number);
    for (const view of views) view.draw();
  }

  function drop(number) {
    for (const address of pairs.get(number)?.addresses ?? []) URL.revokeObjectURL(address);
    pairs.delete(number);
  }

  function initialize({ model }) {
    isNew = !model.get("is_begun");
    model.on("msg:custom", heard);
    model.send({ kind: "start", px: Math.round((window.innerWidth / 2) * window.devicePixelRatio) });
    return () => [...pairs.keys()].forEach(drop);
  }

  function render({ model, el }) {
    const view = new View(model, pairs, now);
    const focus = () => (el.isConnected ? view.root.focus() : requestAnimationFrame(focus));
    el.classList.add("inb");
    el.append(view.root);
    views.add(view);
    if (isNew) focus(); // the keys are for it as soon as it is there, but not after a reload
    isNew = false;
    return () => views.delete(view);
  }

  return { initialize, render };
};
