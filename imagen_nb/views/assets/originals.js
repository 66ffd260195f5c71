// One click from any picture to its original, as large as the window allows, in a dialog with arrows and a download.
// The links are there without this, and open the file where scripts may not run. Text is set as text, never as markup.
"use strict";
(() => {
  if (window.imagenNbOriginals) return;
  window.imagenNbOriginals = true;
  const styled = (tag, style, properties = {}) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.style.cssText = style;
    return made;
  };
  const control = "padding:5px 12px;border:1px solid #6b7078;border-radius:7px;background:none;color:#fff;font:inherit;text-decoration:none;cursor:pointer";
  const open = (links, at) => {
    const dialog = styled("dialog", "box-sizing:border-box;display:flex;flex-direction:column;gap:10px;width:100vw;max-width:100vw;height:100vh;max-height:100vh;margin:0;padding:12px;border:0;background:#15171b;color:#fff;font:14px/1.4 system-ui,sans-serif");
    dialog.className = "imagen-nb-large";
    dialog.dataset.lmSuppressShortcuts = "true"; // Jupyter's one-key commands
    dialog.setAttribute("aria-label", "Large view");
    const bar = styled("div", "display:flex;flex-wrap:wrap;align-items:center;gap:8px");
    const name = styled("strong", "flex:1 1 200px;overflow-wrap:anywhere");
    name.setAttribute("aria-live", "polite");
    const button = (textContent, onclick) => styled("button", control, { type: "button", textContent, onclick });
    const [earlier, later] = [button("‹ Previous", () => show(at - 1)), button("Next ›", () => show(at + 1))];
    const file = styled("a", control, { textContent: "Download" });
    const image = styled("img", "flex:1;min-width:0;min-height:0;object-fit:scale-down");
    const show = (to) => {
      if (!links[to]) return;
      at = to;
      const small = links[at].querySelector("img");
      const where = links[at].href;
      const called = links[at].dataset.name || links[at].pathname.split("/").pop();
      name.textContent = called;
      image.onerror = () => {
        image.onerror = null;
        image.src = small?.src ?? "";
        image.hidden = !small;
        name.textContent = `${called} (its file is not at hand${small ? ": this is a thumbnail" : ""})`;
      };
      Object.assign(image, { src: where, alt: small?.alt ?? "", hidden: false });
      Object.assign(file, { href: where, download: called });
      [earlier.disabled, later.disabled] = [!links[at - 1], !links[at + 1]];
      for (const each of [earlier, later]) each.style.opacity = each.disabled ? 0.4 : 1;
    };
    if (links.length > 1) bar.append(earlier, later);
    bar.prepend(name);
    const close = button("Close", () => dialog.close());
    bar.append(file, close);
    dialog.append(bar, image);
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") show(at - 1);
      else if (event.key === "ArrowRight") show(at + 1);
    });
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    show(at);
    dialog.showModal();
    close.focus();
  };
  // Before JupyterLab, which would open the file in a tab of its own, by its hash and not fitted.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.(".imagen-nb-open");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    const links = [...link.parentElement.closest('[class^="imagen-nb-"]').querySelectorAll(".imagen-nb-open")];
    open(links, links.indexOf(link));
  }, { capture: true });
})();
