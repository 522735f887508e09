// A table of any length: rows of one height, of which only those in sight are elements.

import { el, setState, setText } from "./dom.js";

const HEIGHT = 28;
const SPARE = 6;
const PAGE = 10;
let grids = 0;

export class Grid {
  #rows = [];
  #all = [];
  #drawn = [];
  #active = null;
  #sort = null;
  #id = `grid${++grids}`;

  // columns: {title, class, value(row) -> text or element, sort(row), tone(row)};
  // children(row) gives the rows below an unfolded one; chosen(row) is called for the row that has become active,
  // opened(row) for Enter, a click, and the arrows to the right and left.
  constructor({ name, label, columns, empty, children, chosen, opened, isOpen }) {
    Object.assign(this, { columns, children, chosen, opened, isOpen });
    this.body = el("div", { class: "rows", role: "rowgroup" });
    this.head = el("div", { class: "row heading", role: "row" }, ...columns.map((column, index) => this.#heading(column, index)));
    this.element = el(
      "div",
      {
        class: `grid ${name}`, role: children ? "treegrid" : "grid", tabindex: "0", "aria-label": label,
        "aria-readonly": "true", onscroll: () => this.#draw(), onkeydown: (event) => this.#key(event),
      },
      el("div", { role: "rowgroup", class: "top" }, this.head), this.body,
      (this.none = el("p", { class: "none", hidden: true }, empty)),
    );
    new ResizeObserver(() => this.#draw()).observe(this.element);
    this.body.addEventListener("click", (event) => {
      const place = event.target.closest(".row")?.dataset.place;
      if (place !== undefined) this.#choose(Number(place), true);
    });
  }

  set(rows) {
    this.#all = rows;
    this.#arrange();
  }

  get active() {
    return this.#active;
  }

  // Make the row with this key active and bring it into sight, without calling chosen.
  show(key) {
    this.#active = key;
    const place = this.#rows.findIndex((row) => row.key === key);
    if (place >= 0) this.#reveal(place);
    this.#draw();
  }

  refresh() {
    this.#arrange();
  }

  #heading(column, index) {
    const attributes = { role: "columnheader", class: `cell ${column.class ?? ""}` };
    if (!column.sort) return el("div", attributes, column.title);
    const order = () => {
      const down = this.#sort?.index === index && this.#sort.direction === column.first;
      this.#sort = { index, direction: down ? -column.first : column.first };
      [...this.head.children].forEach((cell) => cell.removeAttribute("aria-sort"));
      setState(this.head.children[index], "aria-sort", this.#sort.direction > 0 ? "ascending" : "descending");
      this.#arrange();
    };
    column.first = column.class?.includes("number") ? -1 : 1;
    return el("div", attributes, el("button", { type: "button", onclick: order }, column.title));
  }

  #arrange() {
    let rows = this.#all;
    if (this.#sort) {
      const { index, direction } = this.#sort;
      const by = new Map(rows.map((row) => [row, this.columns[index].sort(row)]));
      rows = [...rows].sort((one, other) => compare(by.get(one), by.get(other), direction));
    }
    this.#rows = this.children ? rows.flatMap((row) => (this.isOpen(row) ? [row, ...this.children(row)] : [row])) : rows;
    this.body.style.height = `${this.#rows.length * HEIGHT}px`;
    setState(this.element, "aria-rowcount", String(this.#rows.length + 1));
    this.none.hidden = this.#rows.length > 0;
    this.#draw();
  }

  #draw() {
    const height = this.element.clientHeight;
    if (!height) return;
    const first = Math.max(0, Math.floor(this.element.scrollTop / HEIGHT) - SPARE);
    const rows = this.#rows.slice(first, first + Math.ceil(height / HEIGHT) + 2 * SPARE);
    while (this.#drawn.length < rows.length) this.#drawn.push(this.#line());
    let active = null;
    this.#drawn.forEach((line, index) => {
      const row = rows[index];
      line.hidden = !row;
      if (!row) return;
      const place = first + index;
      line.style.top = `${place * HEIGHT}px`;
      if (row.key === this.#active) active = line.id;
      setState(line, "data-place", String(place));
      setState(line, "aria-rowindex", String(place + 2));
      setState(line, "aria-selected", String(row.key === this.#active));
      setState(line, "data-kind", row.kind ?? "");
      if (this.children) {
        setState(line, "aria-level", row.kind ? "2" : "1");
        if (row.kind) line.removeAttribute("aria-expanded");
        else setState(line, "aria-expanded", String(this.isOpen(row)));
      }
      this.columns.forEach((column, number) => this.#cell(line.children[number], column, row));
    });
    if (active) setState(this.element, "aria-activedescendant", active);
    else this.element.removeAttribute("aria-activedescendant");
  }

  #cell(cell, column, row) {
    const value = column.value(row);
    if (value instanceof Node) {
      if (cell.firstChild !== value) cell.replaceChildren(value);
    } else {
      if (cell.firstElementChild) cell.replaceChildren();
      setText(cell, value);
      setState(cell, "title", value.length > 8 ? value : "");
    }
    if (column.tone) setState(cell, "data-tone", column.tone(row));
  }

  #line() {
    const line = el(
      "div", { class: "row", role: "row", id: `${this.#id}-${this.#drawn.length}` },
      ...this.columns.map((column) => el("div", { class: `cell ${column.class ?? ""}`, role: "gridcell" })),
    );
    this.body.append(line);
    return line;
  }

  #choose(place, isOpened) {
    const row = this.#rows[Math.min(Math.max(place, 0), this.#rows.length - 1)];
    if (!row) return;
    this.#active = row.key;
    this.#reveal(this.#rows.indexOf(row));
    this.chosen?.(row);
    if (isOpened) this.opened?.(row);
    this.#draw();
  }

  #reveal(place) {
    const top = place * HEIGHT;
    const height = this.element.clientHeight - 2 * HEIGHT;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top > this.element.scrollTop + height) this.element.scrollTop = top - height;
  }

  #key(event) {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const place = this.#rows.findIndex((row) => row.key === this.#active);
    const row = this.#rows[place];
    const folds = { ArrowRight: false, ArrowLeft: true };
    const moves = {
      ArrowDown: place + 1, ArrowUp: place - 1, PageDown: place + PAGE, PageUp: place - PAGE,
      Home: 0, End: this.#rows.length - 1,
    };
    if (event.key in moves) this.#choose(moves[event.key], false);
    else if (row && (event.key === "Enter" || event.key === " ")) this.#choose(place, true);
    else if (row && event.key in folds && this.children && !row.kind && this.isOpen(row) === folds[event.key]) {
      this.#choose(place, true);
    } else return;
    event.preventDefault();
  }
}

// Numbers before texts; a missing value is always last.
function compare(one, other, direction) {
  const missing = (one === null || one === undefined) - (other === null || other === undefined);
  if (missing) return missing;
  if (one === other) return 0;
  return direction * (typeof one === "number" ? one - other : String(one).localeCompare(String(other), "en"));
}
