"use strict";
// The pages say everything without this script. With it figures enlarge, tables sort, and galleries count.

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function enlargeFigures() {
  const images = [...document.querySelectorAll("figure .paper img")];
  if (!images.length || !window.HTMLDialogElement) return;
  const title = element("h2", { id: "enlarged-title" });
  const place = element("span", { className: "place" });
  const actual = element("button", { type: "button", textContent: "Actual size", ariaPressed: "false" });
  const previous = element("button", { type: "button", textContent: "Previous" });
  const next = element("button", { type: "button", textContent: "Next" });
  const close = element("button", { type: "button", textContent: "Close", autofocus: true });
  const view = element("div", { className: "view", tabIndex: 0, role: "region", ariaLabel: "Enlarged figure" });
  const dialog = element("dialog", { id: "enlarged" },
    element("div", { className: "bar" }, title, place, previous, next, actual, close), view);
  dialog.setAttribute("aria-labelledby", title.id);
  document.body.append(dialog);
  let shown = 0;

  function show(position) {
    shown = (position + images.length) % images.length;
    const source = images[shown];
    title.textContent = source.closest("figure").querySelector("figcaption strong").textContent;
    place.textContent = images.length > 1 ? `${shown + 1} of ${images.length}` : "";
    view.replaceChildren(element("img", { src: source.src, alt: source.alt }));
    view.scrollTo(0, 0);
  }

  function fit(whole) {
    actual.ariaPressed = String(!whole);
    dialog.classList.toggle("actual", !whole);
  }

  previous.hidden = next.hidden = images.length < 2;
  previous.onclick = () => show(shown - 1);
  next.onclick = () => show(shown + 1);
  actual.onclick = () => fit(actual.ariaPressed === "true");
  close.onclick = () => dialog.close();
  dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); };
  dialog.onkeydown = (event) => {
    if (event.target === view && dialog.classList.contains("actual")) return;  // arrows scroll there
    if (event.key === "ArrowLeft") show(shown - 1);
    if (event.key === "ArrowRight") show(shown + 1);
  };
  images.forEach((image, position) => {
    const name = image.closest("figure").querySelector("figcaption strong").textContent;
    const open = element("button", { type: "button", className: "enlarge", textContent: "Enlarge", ariaLabel: `Enlarge: ${name}` });
    open.onclick = image.onclick = () => { fit(true); show(position); dialog.showModal(); };
    image.closest("figure").querySelector("figcaption").prepend(open);
    image.classList.add("enlarges");
  });
}

function sortTables() {
  const words = new Intl.Collator("en", { numeric: true });
  const number = (text) => Number(text.replace(/,/g, "").replace(/\s*%$/, ""));
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      const name = header.textContent.trim();
      if (!name) return;
      const button = element("button", { type: "button", textContent: name });
      header.replaceChildren(button);
      button.onclick = () => {
        const order = { ascending: "descending", descending: null }[header.ariaSort] ?? (header.ariaSort ? null : "ascending");
        headers.forEach((other) => other.removeAttribute("aria-sort"));
        if (order) header.ariaSort = order;
        const sign = order === "descending" ? -1 : 1;
        const text = (row) => row.cells[column].textContent.trim();
        const absent = (value) => value === "" || value === "\u2013";
        const rows = [...original];
        if (order) rows.sort((one, other) => {
          const [a, b] = [text(one), text(other)];
          if (absent(a) || absent(b)) return absent(a) - absent(b);
          const [x, y] = [number(a), number(b)];
          return sign * (Number.isNaN(x) || Number.isNaN(y) ? words.compare(a, b) : x - y);
        });
        body.append(...rows);
      };
    });
  }
}

function countGalleries() {
  for (const gallery of document.querySelectorAll(".gallery")) {
    const tiles = [...gallery.querySelectorAll("li")];
    const status = gallery.querySelector("[role=status]");
    const say = () => {
      const shown = tiles.filter((tile) => getComputedStyle(tile).display !== "none").length;
      status.textContent = shown ? `${shown} of ${tiles.length} shown` : "None of these: choose another class.";
    };
    gallery.addEventListener("change", say);
    say();
  }
}

enlargeFigures();
sortTables();
countGalleries();
