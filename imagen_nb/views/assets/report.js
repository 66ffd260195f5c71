// The report's behaviour: views, filter, sorting, a grid over any two settings, a lightbox and a compare slider.
// All text from the log arrives as attributes and text nodes and leaves as text nodes; none of it becomes markup.
"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  const runs = all(".run").map((card) => ({ card, ...JSON.parse(card.dataset.run) }));
  const byId = new Map(runs.map((run) => [run.key, run]));
  const picked = [];
  let shown = runs;
  let viewed = 0;

  // Pictures stand in the gallery once; other views show the same bytes again.
  const pictures = (run) => all("img", one(".images", run.card));
  const copyOf = (image, run) => {
    const copy = make("img", { src: image.src, alt: image.alt, title: image.title, loading: "lazy", decoding: "async" });
    for (const side of ["width", "height"]) copy[side] = image.getAttribute(side); // so that nothing moves when it comes
    const button = make("button", { type: "button", className: "open" }, copy);
    button.addEventListener("click", () => openLightbox(run, pictures(run).indexOf(image)));
    return button;
  };

  // --- filter and views
  const words = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);
  function filter() {
    const wanted = words(one("#search").value);
    const state = one("#state").value;
    shown = runs.filter((run) => (!state || run.state === state) && wanted.every((word) => run.text.includes(word)));
    const visible = new Set(shown);
    for (const run of runs) {
      run.card.hidden = !visible.has(run);
      run.row.hidden = !visible.has(run);
    }
    one("#shown").textContent = `${shown.length} of ${runs.length} shown`;
    if (!one("#grid").hidden) drawGrid();
  }
  function show(view) {
    for (const section of all("main > section")) section.hidden = section.id !== view;
    for (const button of all(".views button")) button.setAttribute("aria-pressed", String(button.value === view));
    one("#axes").hidden = view !== "grid";
    if (view === "grid") drawGrid();
  }

  // --- the grid
  const unset = "not set";
  const valueOf = (run, name) => (name ? run.axes[name] ?? unset : "");
  const orders = JSON.parse(one("#axes").dataset.orders || "{}");
  const isNumeric = (text) => text.trim() !== "" && !isNaN(text);
  // In the order that the log gives them, else by number where all are numbers, else as they appear; unset last.
  function valuesOf(name, among = shown) {
    const there = new Set(among.map((run) => valueOf(run, name)));
    const last = there.delete(unset) ? [unset] : [];
    const first = (Object.hasOwn(orders, name) ? orders[name] : []).filter((text) => there.delete(text));
    const rest = [...there];
    return [...first, ...(rest.every(isNumeric) ? rest.sort((a, b) => a - b) : rest), ...last];
  }
  function drawGrid() {
    const [rows, cols, facet] = ["#rows", "#cols", "#facet"].map((id) => one(id).value);
    const target = one("#drawn");
    const used = new Set([rows, cols, facet]);
    target.replaceChildren();
    if (runs.length && !shown.length) target.append(make("p", { className: "summary", textContent: "No run matches." }));
    for (const value of shown.length ? valuesOf(facet) : []) {
      const inside = shown.filter((run) => valueOf(run, facet) === value);
      if (facet) target.append(make("h2", { textContent: `${facet} = ${value}` }));
      // Experiments differ in what they vary, so each has its own axes, and the rows and columns that occur in it.
      const [down, across] = facet === "experiment" ? ownAxes(inside, rows, cols) : [rows, cols];
      used.add(down).add(across);
      const drawn = gridOf(inside, down, across, facet === "experiment" ? inside : shown);
      const scroll = make("div", { className: "scroll", tabIndex: 0, role: "region" }, drawn);
      scroll.setAttribute("aria-label", facet ? `Grid for ${facet} = ${value}` : "Grid of images");
      target.append(scroll);
    }
    sayMixed([...used]);
  }
  const kinds = (group, name) => new Set(group.map((run) => valueOf(run, name))).size;
  const settings = all("#rows option").map((option) => option.value).filter((name) => !["", "experiment", "prompt", "template"].includes(name));
  // The first settings that vary, those asked for before the others, as long as half of the cells have a run.
  function ownAxes(inside, rows, cols) {
    const [down, ...others] = [...new Set([rows, cols, ...settings, "prompt"])].filter((name) => kinds(inside, name) > 1);
    const filled = (name) => new Set(inside.map((run) => JSON.stringify([valueOf(run, down), valueOf(run, name)]))).size;
    const fits = (name) => name !== "prompt" && 2 * filled(name) >= kinds(inside, down) * kinds(inside, name);
    return [down ?? "", others.find(fits) ?? ""];
  }
  // Settings that no axis parts though they differ within a cell; one that is different in every run is no news.
  function sayMixed(used) {
    const cells = new Map();
    for (const run of shown) {
      const key = JSON.stringify(used.map((name) => valueOf(run, name)));
      cells.set(key, [...(cells.get(key) ?? []), run]);
    }
    const mixes = (name) => !used.includes(name) && kinds(shown, name) < shown.length && [...cells.values()].some((cell) => kinds(cell, name) > 1);
    const mixed = settings.some(mixes) ? settings.filter(mixes) : ["prompt"].filter(mixes);
    one("#mixed").hidden = !mixed.length;
    one("#mixed").textContent = `Cells mix different ${mixed.join(", ")}.`;
  }
  // `among` are the runs whose values are its rows and columns.
  function gridOf(inside, rows, cols, among) {
    const [rowValues, colValues] = [valuesOf(rows, among), valuesOf(cols, among)];
    const cells = new Map();
    for (const run of inside) {
      const key = JSON.stringify([valueOf(run, rows), valueOf(run, cols)]);
      cells.set(key, [...(cells.get(key) ?? []), run]);
    }
    const corner = [rows && `${rows} ↓`, cols && `${cols} →`].filter(Boolean).join("  ");
    const head = make("tr", {}, make(corner ? "th" : "td", { className: "corner", textContent: corner }));
    const label = (scope, text) => make(text ? "th" : "td", text ? { scope, textContent: text } : {});
    for (const col of colValues) head.append(label("col", col));
    const body = make("tbody");
    for (const row of rowValues) {
      const line = make("tr", {}, label("row", row));
      for (const col of colValues) line.append(make("td", {}, cellOf(cells.get(JSON.stringify([row, col])) ?? [])));
      body.append(line);
    }
    return make("table", { className: "grid" }, make("thead", {}, head), body);
  }
  function cellOf(here) {
    const cell = make("div", { className: "cell" });
    for (const run of here) cell.append(...pictures(run).map((image) => copyOf(image, run)));
    cell.append(...remarks(here.filter((run) => !pictures(run).length)));
    if (!here.length) cell.append(make("div", { className: "remark none", textContent: "no run" }));
    const count = cell.children.length;
    cell.classList.toggle("many", count > 1);
    cell.style.setProperty("--across", Math.ceil(Math.sqrt(count))); // as square as it can be
    return cell;
  }
  // Runs that failed alike are one remark with their number.
  function remarks(failed) {
    const alike = new Map();
    for (const run of failed) {
      const key = JSON.stringify([run.state, run.reason]);
      alike.set(key, [...(alike.get(key) ?? []), run]);
    }
    return [...alike.values()].map((group) => remarkOf(group[0], group.length));
  }
  const remarkOf = (run, number) =>
    make("div", { className: "remark" },
      make("span", { className: `state ${run.tone}`, textContent: number > 1 ? `${number} ${run.state}` : run.state }), " ",
      make("span", { className: "said", textContent: run.reason ?? "" }));

  // --- the table
  const numeric = (cell) => (cell.dataset.sort === undefined ? NaN : Number(cell.dataset.sort));
  function sortBy(header) {
    const place = [...header.parentElement.children].indexOf(header);
    const direction = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const isNumber = header.classList.contains("number");
    const body = one("#table tbody");
    const compare = (a, b) => {
      const [left, right] = [a.children[place], b.children[place]];
      const [leftGone, rightGone] = [left, right].map((cell) => !cell.textContent.trim());
      if (leftGone || rightGone) return leftGone - rightGone;
      const order = isNumber ? numeric(left) - numeric(right) : left.textContent.trim().localeCompare(right.textContent.trim(), undefined, { numeric: true });
      return sign * order;
    };
    body.append(...[...body.children].sort(compare));
  }

  // --- the lightbox
  const shownPictures = () => shown.flatMap((run) => pictures(run).map((image) => ({ run, image })));
  function openLightbox(run, place) {
    const list = shownPictures();
    viewed = Math.max(0, list.findIndex((each) => each.run === run && each.image === pictures(run)[place]));
    drawLightbox();
    one("#lightbox").showModal();
  }
  function drawLightbox() {
    const list = shownPictures();
    if (!list.length) return;
    viewed = (viewed + list.length) % list.length;
    const { run, image } = list[viewed];
    const stage = one("#lightbox .stage img");
    stage.src = image.src;
    stage.alt = image.alt;
    one("#lightbox h2").textContent = `${image.dataset.name} · ${viewed + 1} of ${list.length}`;
    const save = one("#lightbox .save"); // what is in this file is smaller than the original
    Object.assign(save, { href: image.src, download: image.dataset.name.replace(/\.\w+$/, ".webp"), title: `The original is ${image.dataset.about}` });
    const facts = one(".facts", run.card).cloneNode(true);
    for (const button of all("button", facts)) button.remove();
    one("#lightbox .detail").replaceChildren(facts);
  }
  const step = (by) => {
    viewed += by;
    drawLightbox();
  };

  // --- comparing two
  function pick(run) {
    const at = picked.indexOf(run);
    if (at >= 0) picked.splice(at, 1);
    else picked.push(run);
    if (picked.length > 2) picked.shift();
    drawTray();
  }
  function drawTray() {
    for (const run of runs) one(".pick", run.card).setAttribute("aria-pressed", String(picked.includes(run)));
    one("#tray").hidden = !picked.length;
    one("#tray-text").textContent = picked.length === 1 ? "One picked; pick another to compare." : "Two picked.";
    one("#tray-open").hidden = picked.length !== 2;
  }
  function openCompare() {
    const [a, b] = picked;
    const [left, right] = picked.map((run) => pictures(run)[0]);
    const slider = one("#compare .slider");
    slider.hidden = !(left && right);
    if (left && right) {
      Object.assign(one(".over", slider), { src: left.src, alt: `A: ${left.alt}` });
      Object.assign(one(".under", slider), { src: right.src, alt: `B: ${right.alt}` });
      slider.style.setProperty("--ratio", String(left.getAttribute("width") / left.getAttribute("height")));
    }
    const sides = one("#compare .sides");
    sides.hidden = !slider.hidden;
    sides.replaceChildren(...(slider.hidden ? [sideOf("A", a), sideOf("B", b)] : []));
    one("#compare .changes").replaceChildren(...changes(a.prompt, b.prompt));
    drawDifferences(a, b);
    one("#compare").showModal();
    (slider.hidden ? one("#compare .close") : one("input", slider)).focus();
  }
  // Without a picture on each side there is nothing to slide: what there is stands beside the reason for what is not.
  function sideOf(letter, run) {
    const image = pictures(run)[0];
    const shows = image ? make("img", { src: image.src, alt: `${letter}: ${image.alt}` }) : remarkOf(run, 1);
    return make("div", { className: "side" }, make("span", { className: "tag", textContent: letter }), shows);
  }
  function drawDifferences(a, b) {
    const names = [...new Set([...Object.keys(a.axes), ...Object.keys(b.axes)])];
    const differing = names.filter((name) => name !== "prompt" && name !== "template" && valueOf(a, name) !== valueOf(b, name));
    const line = (cells, tag) => make("tr", {}, ...cells.map((text) => make(tag, { textContent: text })));
    const rows = differing.map((name) => line([name, valueOf(a, name), valueOf(b, name)], "td"));
    one("#compare .differences").replaceChildren(line(["setting", "A", "B"], "th"), ...rows);
    one("#compare .differences").hidden = !differing.length;
    one("#compare .agree").hidden = differing.length > 0;
  }
  // Longest common subsequence over words; prompts are short enough for the plain table.
  function changes(a, b) {
    const [from, to] = [a, b].map((text) => (text.match(/\s+|[^\s]+/g) ?? []).slice(0, 1500));
    const best = Array.from({ length: from.length + 1 }, () => new Uint16Array(to.length + 1));
    for (let i = from.length - 1; i >= 0; i--)
      for (let j = to.length - 1; j >= 0; j--)
        best[i][j] = from[i] === to[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
    const pieces = [];
    const add = (kind, text) => {
      const last = pieces[pieces.length - 1];
      if (last && last.kind === kind) last.text += text;
      else pieces.push({ kind, text });
    };
    let [i, j] = [0, 0];
    while (i < from.length || j < to.length) {
      if (i < from.length && j < to.length && from[i] === to[j]) { add("same", from[i]); i++; j++; }
      else if (j >= to.length || (i < from.length && best[i + 1][j] >= best[i][j + 1])) add("del", from[i++]);
      else add("ins", to[j++]);
    }
    return pieces.map(({ kind, text }) => (kind === "same" ? text : make(kind, { textContent: text })));
  }

  // --- wiring
  for (const row of all("#table tbody tr")) {
    const run = byId.get(row.dataset.key);
    run.row = row;
    const first = pictures(run)[0];
    if (first) row.firstElementChild.append(copyOf(first, run));
  }
  for (const run of runs) {
    one(".pick", run.card).addEventListener("click", () => pick(run));
    all(".open", run.card).forEach((button, place) => button.addEventListener("click", () => openLightbox(run, place)));
  }
  for (const header of all("#table th"))
    if (one(".sort", header)) one(".sort", header).addEventListener("click", () => sortBy(header));
  for (const button of all(".views button")) button.addEventListener("click", () => show(button.value));
  for (const id of ["#rows", "#cols", "#facet"]) one(id).addEventListener("change", drawGrid);
  one("#search").addEventListener("input", filter);
  one("#state").addEventListener("change", filter);
  for (const button of all("dialog .close")) button.addEventListener("click", () => button.closest("dialog").close());
  for (const dialog of all("dialog"))
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  one("#lightbox .previous").addEventListener("click", () => step(-1));
  one("#lightbox .next").addEventListener("click", () => step(1));
  one("#lightbox").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
  });
  one("#tray-open").addEventListener("click", openCompare);
  one("#tray-clear").addEventListener("click", () => { picked.length = 0; drawTray(); });
  one("#compare input").addEventListener("input", (event) => {
    one("#compare .slider").style.setProperty("--cut", `${event.target.value}%`);
  });
  one("#swap").addEventListener("click", () => { picked.reverse(); one("#compare").close(); openCompare(); });
  document.documentElement.classList.add("scripted");
  filter();
  show(one("#start").dataset.view);
  const cells = all("#grid td");
  if (all("#grid .none").length > cells.length / 2) show("gallery"); // most of that grid would be empty
})();
