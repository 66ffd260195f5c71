/* Where files come from: chosen, dropped on the field, or the picture of the run that is picked. A file is sent to the
   kernel in parts, since Jupyter's servers take no message above 10 MB. */

const PART = 4_000_000;

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

async function send(model, file) {
  const bytes = await file.arrayBuffer();
  for (let start = 0; start === 0 || start < bytes.byteLength; start += PART) {
    const part = bytes.slice(start, start + PART);
    model.send({ kind: "part", name: file.name, start, size: bytes.byteLength }, undefined, [part]);
  }
}

function render({ model, el }) {
  el.classList.add("inb", "inb-drop");
  const several = model.get("several");
  const label = element("label", "inb-button", several ? "Choose files" : "Choose a file");
  const input = element("input", "inb-unseen");
  input.type = "file";
  input.multiple = several;
  label.append(input);
  const pick = element("button", "inb-button", "Take the picked run's");
  pick.type = "button";
  el.append(label, pick, element("span", "inb-dim", "or drop it here"));
  const take = (files) => [...files].slice(0, several ? undefined : 1).forEach((file) => send(model, file));
  input.addEventListener("change", () => {
    take(input.files);
    input.value = ""; // lets the same file be chosen again
  });
  pick.addEventListener("click", () => model.send({ kind: "pick" }));
  el.addEventListener("dragover", (event) => event.preventDefault());
  el.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    take(event.dataTransfer.files);
  });
}

export default { render };
