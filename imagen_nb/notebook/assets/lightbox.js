/* One image at a time, as large as the window allows: a modal dialog with arrows. The browser keeps the focus inside a
   modal `<dialog>`, closes it on Escape, and gives the focus back. */

/**
 * @typedef {object} Slide
 * @property {string | null} picture  the key of its image, or null where there is none
 * @property {string} alt
 * @property {string} caption
 * @property {string} figures
 * @property {string} why  why there is no image
 * @property {number} width
 * @property {number} height
 */

/** A control without text of its own, named for screen readers. */
function lightboxButton(name, sign, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "inb-lightbox-button";
  // Jupyter's one-key commands must not act on what is typed here
  button.dataset.lmSuppressShortcuts = "true";
  button.setAttribute("aria-label", name);
  button.title = name;
  button.textContent = sign;
  button.addEventListener("click", act);
  return button;
}

/** The size that the window leaves for the image, and at most its own. */
function lightboxSize(slide) {
  const room = { width: window.innerWidth * 0.94 - 32, height: window.innerHeight * 0.94 - 110 };
  const scale = Math.min(1, room.width / slide.width, room.height / slide.height);
  return { width: Math.round(slide.width * scale), height: Math.round(slide.height * scale) };
}

/**
 * Open `slides[at]` in a dialog inside `host`.
 *
 * `source(slide)` gives the best image there is by now, "" for none; `want(slide)` asks for a better one. The returned
 * `refresh()` draws again when one has come; `moved(at)` is told where the reader is, `closed()` when they have left.
 */
export function openLightbox({ host, slides, at, source, want, moved, closed }) {
  const dialog = document.createElement("dialog");
  dialog.className = "inb inb-lightbox";
  dialog.setAttribute("aria-label", "Enlarged image");

  const image = document.createElement("img");
  const hollow = document.createElement("p");
  hollow.className = "inb-lightbox-hollow";
  const caption = document.createElement("p");
  caption.className = "inb-lightbox-caption";
  caption.setAttribute("aria-live", "polite");
  const figures = document.createElement("p");
  figures.className = "inb-lightbox-figures";

  const close = lightboxButton("Close", "✕", () => dialog.close());
  const earlier = lightboxButton("Previous image", "‹", () => show(at - 1));
  const later = lightboxButton("Next image", "›", () => show(at + 1));
  earlier.classList.add("inb-lightbox-earlier");
  later.classList.add("inb-lightbox-later");
  close.classList.add("inb-lightbox-close");

  const stage = document.createElement("div");
  stage.className = "inb-lightbox-stage";
  stage.append(image, hollow);
  const words = document.createElement("div");
  words.className = "inb-lightbox-words";
  words.append(caption, figures);
  dialog.append(close, earlier, stage, later, words);

  function draw() {
    const slide = slides[at];
    const src = slide.picture ? source(slide) : "";
    image.hidden = !src;
    hollow.hidden = Boolean(src);
    if (src && image.src !== src) image.src = src;
    image.alt = slide.alt;
    hollow.textContent = slide.why || "The image is being loaded.";
    const size = lightboxSize({ width: slide.width || 1, height: slide.height || 1 });
    image.style.width = `${size.width}px`;
    image.style.height = `${size.height}px`;
    caption.textContent = slide.alt;
    figures.textContent = [`${at + 1} of ${slides.length}`, slide.figures].filter(Boolean).join(" · ");
    earlier.disabled = at === 0;
    later.disabled = at === slides.length - 1;
  }

  function show(next) {
    if (next < 0 || next >= slides.length) return;
    at = next;
    if (slides[at].picture) want(slides[at]);
    draw();
    moved(at);
  }

  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -at, End: slides.length - 1 - at }[event.key];
    event.stopPropagation();
    if (step === undefined) return;
    event.preventDefault();
    show(at + step);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  window.addEventListener("resize", draw);
  dialog.addEventListener("close", () => {
    window.removeEventListener("resize", draw);
    dialog.remove();
    closed();
  });

  host.append(dialog);
  show(at);
  dialog.showModal();
  close.focus();
  return { refresh: draw, close: () => dialog.close() };
}
