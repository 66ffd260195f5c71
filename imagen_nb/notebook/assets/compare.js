/* Two images in one place with a divider between them: A shows left of it, B right. The divider is a slider for the
   mouse, a finger, the keyboard and a screen reader.

   The kernel sets `sides` (two of {letter, alt, caption, why, width, height}), `picture_a` and `picture_b` (bytes), and
   `position` (percent from the left). */

const STEPS = {
  ArrowLeft: -2,
  ArrowDown: -2,
  ArrowRight: 2,
  ArrowUp: 2,
  PageDown: -10,
  PageUp: 10,
  Home: -100,
  End: 100,
};

const within = (value) => Math.max(0, Math.min(100, value));

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function caption(side) {
  const made = element("p", "inb-compare-caption");
  made.append(element("b", "inb-compare-letter", side.letter), element("span", "", side.caption));
  return made;
}

function makeHandle(sides) {
  const handle = element("div", "inb-compare-handle");
  const grip = element("span", "inb-compare-grip", "↔");
  grip.setAttribute("aria-hidden", "true");
  handle.append(grip);
  handle.tabIndex = 0;
  // Jupyter's one-key commands must not act on what is typed here
  handle.dataset.lmSuppressShortcuts = "true";
  handle.setAttribute("role", "slider");
  handle.setAttribute("aria-orientation", "horizontal");
  handle.setAttribute("aria-label", `Divider between ${sides[0].letter} and ${sides[1].letter}`);
  handle.setAttribute("aria-valuemin", "0");
  handle.setAttribute("aria-valuemax", "100");
  return handle;
}

/** The two images on top of each other, and what moves the divider. `moved(position, isFinal)` is told of each move. */
function makeStage(sides, addresses, moved) {
  const stage = element("div", "inb-compare-stage");
  // the wider of the two shapes, so that neither image is cut
  const shape = Math.max(...sides.map((side) => side.width / side.height));
  stage.style.aspectRatio = String(shape);
  stage.style.maxWidth = `min(100%, ${Math.round(560 * shape)}px, 820px)`;
  const images = sides.map((side, at) => {
    const image = element("img", "inb-compare-image");
    image.src = addresses[at];
    image.alt = `${side.letter}: ${side.alt}`;
    image.draggable = false;
    return image;
  });
  const letters = sides.map((side, at) => {
    const letter = element("span", "inb-compare-tag", side.letter);
    letter.dataset.side = String(at);
    return letter;
  });
  const handle = makeHandle(sides);
  stage.append(...images, ...letters, handle);

  function show(position) {
    images[0].style.clipPath = `inset(0 ${100 - position}% 0 0)`;
    images[1].style.clipPath = `inset(0 0 0 ${position}%)`;
    letters[0].hidden = position < 8;
    letters[1].hidden = position > 92;
    handle.style.left = `${position}%`;
    handle.setAttribute("aria-valuenow", String(Math.round(position)));
    const share = Math.round(position);
    handle.setAttribute("aria-valuetext", `${share} % ${sides[0].letter}, ${100 - share} % ${sides[1].letter}`);
  }

  const under = (event) => {
    const box = stage.getBoundingClientRect();
    return within(((event.clientX - box.left) / box.width) * 100);
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    handle.focus();
    moved(under(event), false);
  });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) moved(under(event), false);
  });
  stage.addEventListener("pointerup", (event) => moved(under(event), true));
  handle.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    moved(within(Number(handle.getAttribute("aria-valuenow")) + step), true);
  });
  return { stage, show };
}

/** Both sides beside each other, where one of them has no image to lay over the other. */
function makePair(sides, addresses) {
  const pair = element("div", "inb-compare-pair");
  sides.forEach((side, at) => {
    const image = element("img", "inb-compare-alone");
    image.src = addresses[at];
    image.alt = `${side.letter}: ${side.alt}`;
    pair.append(addresses[at] ? image : element("p", "inb-compare-why", side.why || "No image"));
  });
  return pair;
}

function render({ model, el }) {
  el.classList.add("inb", "inb-compare");
  let addresses = [];
  let show = () => {};

  function forget() {
    for (const address of addresses) if (address) URL.revokeObjectURL(address);
    addresses = [];
  }

  function moved(position, isFinal) {
    show(position);
    model.set("position", position);
    if (isFinal) model.save_changes();
  }

  function draw() {
    forget();
    el.replaceChildren();
    const sides = model.get("sides") ?? [];
    if (sides.length !== 2) return;
    const pictures = [model.get("picture_a"), model.get("picture_b")];
    addresses = pictures.map((bytes) =>
      bytes?.byteLength ? URL.createObjectURL(new Blob([bytes], { type: "image/webp" })) : "",
    );
    const captions = element("div", "inb-compare-captions");
    captions.append(...sides.map(caption));
    if (addresses.every(Boolean)) {
      const made = makeStage(sides, addresses, moved);
      show = made.show;
      show(model.get("position"));
      captions.style.maxWidth = made.stage.style.maxWidth;
      el.append(made.stage, captions);
    } else {
      show = () => {};
      el.append(makePair(sides, addresses), captions);
    }
  }

  const follow = () => show(model.get("position"));
  model.on("change:sides", draw);
  model.on("change:position", follow);
  draw();
  return () => {
    forget();
    model.off("change:sides", draw);
    model.off("change:position", follow);
  };
}

export default { render };
