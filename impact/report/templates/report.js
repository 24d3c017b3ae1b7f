for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = Number.isNaN(Number(x)) || Number.isNaN(Number(y))
        ? x.localeCompare(y, document.documentElement.lang) : Number(x) - Number(y);
      return up ? order : -order;
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  }));
}
const dialog = document.querySelector("dialog");
for (const zoom of document.querySelectorAll(".zoom")) {
  zoom.addEventListener("click", () => {
    const image = zoom.querySelector("img");
    Object.assign(dialog.querySelector("img"), { src: image.src, alt: image.alt });
    dialog.showModal();
  });
}
dialog.addEventListener("click", () => dialog.close());
