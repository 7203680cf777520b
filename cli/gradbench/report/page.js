"use strict";
// The page is whole without this: it lets tables be sorted, and columns of the cells be chosen.

// Thousands are apart, and ratios begin with a sign.
const number = (shown) =>
  Number.parseFloat(shown.replace(/(\d)[\s\u00a0\u202f](?=\d)/g, "$1").replace(/^[(×]+/, ""));

// A column of numbers is sorted as numbers; what has none comes last, whichever way.
function compare(left, right, direction) {
  const [a, b] = [left, right].map(number);
  if (Number.isNaN(a) !== Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
  return direction * (Number.isNaN(a) ? left.localeCompare(right) : a - b);
}

function sort(head) {
  const table = head.closest("table");
  const at = head.cellIndex;
  const direction = head.ariaSort === "ascending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  const body = table.tBodies[0];
  const isNumber = head.classList.contains("n");
  const text = (row) => row.cells[at].textContent;
  const order = (a, b) =>
    isNumber ? compare(text(a), text(b), direction) : direction * text(a).localeCompare(text(b));
  body.append(...[...body.rows].sort(order));
}

function letSort(table) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }
}

// Three digits, as in the tables that the page comes with.
function shown(value) {
  if (value === null) return "–";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  if (Math.abs(value) < 1e-4) return value.toExponential(2);
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  const text = value.toFixed(Math.min(digits, 6));
  return digits ? text : text.replace(/\B(?=(\d{3})+$)/g, " ");
}

function fill(table, data, columns) {
  const values = (name) => data.columns[name];
  const at = (name, i) => (Array.isArray(values(name)) ? values(name)[i] : values(name));
  const isNumber = (name) => [values(name)].flat().some((value) => typeof value === "number");
  const row = document.createElement("tr");
  for (const name of columns) {
    const head = document.createElement("th");
    head.scope = "col";
    head.textContent = name;
    head.classList.toggle("n", isNumber(name));
    row.append(head);
  }
  table.tHead.replaceChildren(row);
  const lines = Array.from({ length: data.n }, (_, i) => {
    const line = document.createElement("tr");
    columns.forEach((name, k) => {
      const cell = document.createElement(k < 2 ? "th" : "td");
      if (k < 2) cell.scope = "row";
      cell.textContent = shown(at(name, i));
      cell.classList.toggle("n", isNumber(name));
      line.append(cell);
    });
    return line;
  });
  table.tBodies[0].replaceChildren(...lines);
  letSort(table);
}

function letChoose(details) {
  const data = JSON.parse(details.querySelector("script").textContent);
  const table = details.querySelector("table");
  const chooser = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = "Columns";
  chooser.append(legend);
  for (const name of Object.keys(data.columns)) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.name = name;
    box.checked = data.shown.includes(name);
    label.append(box, name);
    chooser.append(label);
  }
  chooser.addEventListener("change", () => {
    const chosen = [...chooser.querySelectorAll(":checked")].map((box) => box.name);
    const order = [...data.shown, ...chosen].filter((name, i, all) => all.indexOf(name) === i);
    fill(table, data, order.filter((name) => chosen.includes(name)));
  });
  details.querySelector("summary").after(chooser);
}

document.querySelectorAll("table").forEach(letSort);
for (const details of document.querySelectorAll("details.cells")) {
  // Only when it is opened: a page may have thousands of cells.
  details.addEventListener("toggle", () => letChoose(details), { once: true });
}
