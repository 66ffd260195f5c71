/* The live view of a sweep. Only the parts of its HTML that are new are put in place, so that pictures neither flicker nor
   move and a focused link stays focused. What is to be heard is said by a region of the page that outlives the view. */

const ID = "imagen-nb-said";

function say(text) {
  let region = document.getElementById(ID);
  if (!region) {
    region = document.createElement("div");
    region.id = ID;
    region.setAttribute("role", "status");
    region.style.cssText = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)";
    document.body.append(region);
  }
  if (region.textContent !== text) region.textContent = text;
}

function render({ model, el }) {
  let before = [];

  function draw() {
    const fresh = document.createElement("template");
    fresh.innerHTML = model.get("html");
    const view = fresh.content.firstElementChild;
    const parts = [...fresh.content.querySelectorAll(".imagen-nb-part")];
    const texts = parts.map((part) => part.outerHTML);
    const old = [...el.querySelectorAll(".imagen-nb-part")];
    const changed = parts.filter((_, at) => texts[at] !== before[at]);
    if (old.length === parts.length) parts.forEach((part, at) => texts[at] !== before[at] && old[at].replaceWith(part));
    else el.replaceChildren(fresh.content);
    before = texts;
    for (const link of changed.flatMap((part) => [...part.querySelectorAll("a")]))
      // from the notebook's folder, as in any other output
      model.widget_manager?.resolveUrl?.(link.getAttribute("href")).then((address) => { link.href = address; });
    if (view?.dataset.said) say(view.dataset.said);
  }

  model.on("change:html", draw);
  draw();
  return () => model.off("change:html", draw);
}

export default { render };
