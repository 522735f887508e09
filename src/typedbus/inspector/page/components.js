// The components: a table with a search, and the neighbourhood of the one in focus.

import { NONE, age, count, el, matches, plural, searchField, setText, took, wordsOf } from "./dom.js";
import { neighbourhood } from "./graph.js";
import { Grid } from "./grid.js";

const TONES = {
  started: "ok", starting: "busy", constructing: "busy", stopping: "busy", exiting: "busy",
  failed: "bad", restarting: "warn", disabled: "off",
};

// A waiting run is being restarted, whatever the start of its component was.
export function stateOf(row) {
  if (row.run?.state === "waiting") return "restarting";
  if (row.run?.state === "failed") return "failed";
  if (row.outcome === "disabled") return "disabled";
  return row.state === "constructed" && row.outcome === "started" ? "started" : row.state;
}

const milliseconds = (seconds) => (seconds === null ? NONE : (seconds * 1e3).toFixed(seconds < 0.01 ? 2 : seconds < 1 ? 1 : 0));

export class Components {
  name = "components";
  title = "Components";
  #rows = [];
  #byPath = new Map();
  #users = new Map();
  #search = "";
  #focus = null;
  #drawn = "";

  constructor({ goToChannel }) {
    this.goToChannel = goToChannel;
    this.grid = new Grid({
      name: "components",
      label: "Components",
      empty: "No component matches.",
      columns: [
        { title: "State", class: "state", value: (row) => row.shown, tone: (row) => row.tone, sort: (row) => row.shown },
        { title: "Component", class: "path", value: (row) => row.path, sort: (row) => row.path },
        { title: "Construct ms", class: "c2 number", value: (row) => milliseconds(row.construct), sort: (row) => row.construct },
        { title: "Start ms", class: "c2 number", value: (row) => milliseconds(row.start), sort: (row) => row.start },
        { title: "Needs", class: "c3 number", value: (row) => count(row.needs.length), sort: (row) => row.needs.length },
        { title: "Listens", class: "c3 number", value: (row) => count(row.listens.length), sort: (row) => row.listens.length },
        { title: "Class", class: "c3 soft", value: (row) => row.class || NONE, sort: (row) => row.class },
      ],
      chosen: (row) => this.#show(row.path),
    });
    this.field = searchField("Search components, or needs:PATH", (text) => {
      this.#filter(text);
      this.grid.element.scrollTop = 0;
    });
    this.found = el("p", { class: "found", role: "status" });
    this.heading = el("h3", { tabindex: "-1" });
    this.about = el("p", { class: "class" });
    this.figures = el("dl", { class: "figures" });
    this.error = el("pre", { class: "error", hidden: true });
    this.drawing = el("div", {});
    this.detail = el("aside", { class: "detail", "aria-label": "Component in focus" },
      this.heading, this.about, this.figures, this.error, this.drawing);
    this.body = el(
      "div", { class: "split" },
      el("div", { class: "side" }, el("div", { class: "tools" }, this.field, this.found), this.grid.element), this.detail,
    );
    new ResizeObserver(() => this.#draw()).observe(this.detail);
  }

  update(snapshot) {
    if (!snapshot.components) return;
    this.#rows = snapshot.components.map((row) => {
      const shown = stateOf(row);
      const text = `${row.path} ${row.class} ${shown} ${row.outcome} ${row.error ?? ""}`.toLowerCase();
      return { ...row, key: row.path, shown, tone: TONES[shown] ?? "off", text };
    });
    this.#byPath = new Map(this.#rows.map((row) => [row.path, row]));
    this.#users = new Map();
    for (const row of this.#rows) {
      for (const path of row.needs) this.#use(path, { row, path: row.path, soft: false });
      for (const path of row.after) this.#use(path, { row, path: row.path, soft: true });
    }
    const isNew = !this.#byPath.has(this.#focus);
    if (isNew) this.#focus = this.#first();
    this.#filter(this.#search);
    if (isNew) this.grid.show(this.#focus);
    this.#draw();
  }

  unfold() {
    this.#draw();
  }

  get summary() {
    const numbers = new Map();
    for (const row of this.#rows) numbers.set(row.shown, (numbers.get(row.shown) ?? 0) + 1);
    return [...numbers].map(([state, number]) => `${count(number)} ${state}`).join(", ") || "none";
  }

  // The name of the container with the most components; a command has one of its own.
  get container() {
    const sizes = new Map();
    for (const { path } of this.#rows) sizes.set(path.split(".")[0], (sizes.get(path.split(".")[0]) ?? 0) + 1);
    return [...sizes].reduce((best, one) => (best && best[1] >= one[1] ? best : one), null)?.[0];
  }

  get alarms() {
    return this.#rows.filter((row) => row.tone === "bad").length;
  }

  focus(path) {
    if (!this.#byPath.has(path)) return;
    if (!this.#shown(this.#byPath.get(path))) this.#filter((this.field.value = ""));
    this.grid.show(path);
    this.#show(path);
  }

  // The component that most others need says most about a program; one that failed says more.
  #first() {
    const failed = this.#rows.find((row) => row.tone === "bad" || row.tone === "warn");
    const rank = (row) => row.needs.length * (this.#users.get(row.path)?.length ?? 0);
    return (failed ?? this.#rows.reduce((best, row) => (best && rank(best) >= rank(row) ? best : row), null))?.path;
  }

  #use(path, user) {
    const users = this.#users.get(path);
    if (users) users.push(user);
    else this.#users.set(path, [user]);
  }

  #shown(row) {
    return matches(row.text, this.words) && this.needed.every((path) => row.needs.includes(path) || row.after.includes(path));
  }

  #filter(search) {
    this.#search = search;
    const parts = search.split(/\s+/).filter(Boolean);
    this.needed = parts.filter((part) => part.startsWith("needs:")).map((part) => part.slice(6));
    this.words = wordsOf(parts.filter((part) => !part.startsWith("needs:")).join(" "));
    const rows = search ? this.#rows.filter((row) => this.#shown(row)) : this.#rows;
    this.grid.set(rows);
    this.found.textContent = search ? `${count(rows.length)} of ${count(this.#rows.length)}` : plural(rows.length, "component");
  }

  #show(path) {
    this.#focus = path;
    this.#draw();
  }

  #more(side) {
    const path = this.#focus;
    this.field.value = side === "users" ? `needs:${path}` : "";
    this.#filter(this.field.value);
    this.field.focus();
  }

  #draw() {
    const row = this.#byPath.get(this.#focus);
    const width = Math.floor(this.detail.clientWidth) - 2;
    if (!row || width < 50) return;
    const users = this.#users.get(row.path) ?? [];
    const needs = [...row.needs.map((path) => ({ path, soft: false })), ...row.after.map((path) => ({ path, soft: true }))]
      .map((one) => ({ ...one, row: this.#byPath.get(one.path) }));
    this.#figures(row);
    const shown = (one) => [one.path, one.soft, one.row?.shown];
    const drawn = JSON.stringify([width, row.path, row.shown, row.listens, needs.map(shown), users.map(shown)]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const hadFocus = this.drawing.contains(document.activeElement);
    this.drawing.replaceChildren(
      neighbourhood({ focus: row, needs, users, width, go: (path) => this.focus(path), more: (side) => this.#more(side) }),
      row.listens.length
        ? el("p", { class: "chips" }, "listens to ", ...row.listens.map((name) =>
            el("button", { type: "button", class: "chip", onclick: () => this.goToChannel(name) }, name)))
        : "",
    );
    if (hadFocus) this.heading.focus({ preventScroll: true });
  }

  #figures(row) {
    setText(this.heading, row.path);
    setText(this.about, row.class);
    const figures = [["State", row.shown === "disabled" && row.reason ? `disabled: ${row.reason}` : row.shown], ["Construct", took(row.construct)], ["Start", took(row.start)]];
    if (row.run) figures.push(["Run", `${row.run.state} for ${age(row.run.since)}, ${plural(row.run.restarts, "restart")}`]);
    this.figures.replaceChildren(...figures.map(([name, value], index) =>
      el("div", {}, el("dt", {}, name), el("dd", index ? {} : { "data-tone": row.tone }, value))));
    const error = row.error ?? row.run?.error ?? "";
    this.error.hidden = !error;
    setText(this.error, error);
  }
}
