/* A button that copies `text` without asking the kernel, and where the browser forbids it shows the text to copy. */

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function render({ model, el }) {
  el.classList.add("inb", "inb-copy");
  const button = element("button", "inb-button");
  button.type = "button";
  const said = element("span", "inb-copy-said inb-dim");
  said.setAttribute("role", "status");
  const text = element("textarea", "inb-copy-text");
  text.readOnly = true;
  text.hidden = true;
  text.setAttribute("aria-label", "The text of the cell");
  text.dataset.lmSuppressShortcuts = "true";
  el.append(button, said, text);

  function draw() {
    button.textContent = model.get("label");
    button.disabled = !model.get("text");
    text.value = model.get("text");
    text.hidden = true;
    said.textContent = "";
  }

  function offer() {
    text.hidden = false;
    text.rows = Math.min(10, text.value.split("\n").length + 1);
    text.focus();
    text.select();
    said.textContent = "The browser does not allow it; copy the text below.";
  }

  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(model.get("text"));
      text.hidden = true;
      said.textContent = "Copied: paste it into a cell.";
    } catch {
      offer();
    }
  });

  model.on("change:text", draw);
  model.on("change:label", draw);
  draw();
  return () => {
    model.off("change:text", draw);
    model.off("change:label", draw);
  };
}

export default { render };
