// The channels: counted only while this section is unfolded; a channel unfolds to its listeners.

import { NONE, age, count, el, matches, perSecond, plural, searchField, svg, took, wordsOf } from "./dom.js";
import { Grid } from "./grid.js";

const SAMPLES = 60;

export class Channels {
  name = "channels";
  title = "Channels";
  #rows = [];
  #rates = new Map();
  #open = new Set();
  #search = "";

  constructor({ pollNow }) {
    this.pollNow = pollNow;
    const listener = (value, other) => (row) => (row.kind ? other(row) : value(row));
    this.grid = new Grid({
      name: "channels",
      label: "Channels",
      empty: "No channel matches.",
      columns: [
        { title: "Channel", class: "path", value: (row) => row.label, sort: (row) => row.name },
        { title: "Listeners", class: "c2 number", value: listener((row) => count(row.listeners), () => ""), sort: (row) => row.listeners },
        { title: "Publishes", class: "c2 number", value: listener((row) => count(row.publishes), (row) => count(row.calls)), sort: (row) => row.publishes },
        { title: "Per second", class: "number", value: listener((row) => perSecond(row.rate), () => ""), sort: (row) => row.rate },
        { title: "Since you opened this", class: "c2 spark", value: listener((row) => this.#spark(row), (row) => (row.kind === "listener" ? `priority ${row.priority}` : "")) },
        { title: "Mean", class: "number", value: (row) => (row.kind === "about" ? "" : took(row.mean)), sort: (row) => row.mean },
        { title: "95 %", class: "c2 number", value: listener((row) => (row.p95 === null ? NONE : `≤ ${took(row.p95)}`), () => ""), sort: (row) => row.p95 },
        { title: "Failures", class: "c1 number", value: (row) => (row.kind === "about" ? "" : count(row.failures)), tone: (row) => (row.failures ? "bad" : "none"), sort: (row) => row.failures },
        { title: "Last", class: "c3 number", value: listener((row) => (row.ago === null ? NONE : row.ago < 1 ? "now" : `${age(row.ago)} ago`), () => ""), sort: (row) => row.ago },
      ],
      isOpen: (row) => this.#open.has(row.id),
      children: (row) => this.#listeners(row),
      opened: (row) => row.kind || this.#toggle(row),
    });
    this.field = searchField("Search channels", (text) => {
      this.#search = text;
      this.#filter();
    });
    this.found = el("p", { class: "found", role: "status" });
    this.body = el("div", {}, el("div", { class: "tools" }, this.field, this.found), this.grid.element,
      el("p", { class: "hint" }, "Publishes are counted while this section is unfolded, and 15 seconds longer."));
  }

  // The ids of the channels whose listeners the next answer has.
  get unfolded() {
    return [...this.#open];
  }

  update(snapshot, isUnfolded) {
    if (!snapshot.channels) return;
    const now = Date.parse(snapshot.now);
    this.#rows = snapshot.channels.map((row) => ({
      ...row, ago: row.last === null ? null : (now - Date.parse(row.last)) / 1000, key: row.name + row.id, label: row.name, text: `${row.name} ${row.module} ${row.signature}`.toLowerCase(),
    }));
    if (!isUnfolded) return;
    for (const row of this.#rows) {
      const rates = this.#rates.get(row.id) ?? [];
      if (row.rate !== null) rates.push(row.rate);
      if (rates.length > SAMPLES) rates.shift();
      this.#rates.set(row.id, rates);
    }
    this.#filter();
  }

  fold() {
    this.#rates.clear();
  }

  restarted() {
    this.#rates.clear();
    this.#open.clear();
  }

  get summary() {
    return plural(this.#rows.length, "channel");
  }

  show(name) {
    const row = this.#rows.find((one) => one.name === name);
    if (!row) return;
    this.#search = this.field.value = "";
    this.#filter();
    this.grid.show(row.key);
    if (!this.#open.has(row.id)) this.#toggle(row);
    this.grid.element.focus();
  }

  #toggle(row) {
    if (!this.#open.delete(row.id)) this.#open.add(row.id);
    this.grid.refresh();
    this.pollNow();
  }

  #filter() {
    const words = wordsOf(this.#search);
    const rows = words.length ? this.#rows.filter((row) => matches(row.text, words)) : this.#rows;
    this.grid.set(rows);
    this.found.textContent = words.length ? `${count(rows.length)} of ${count(this.#rows.length)}` : plural(rows.length, "channel");
  }

  #listeners(row) {
    const about = [`${row.name}${row.signature}`, row.module && `declared in ${row.module}`, row.doc?.split("\n")[0], row.deprecated && `deprecated: ${row.deprecated}`];
    const lines = [{ key: `${row.key} about`, kind: "about", label: about.filter(Boolean).join("  ·  "), failures: 0 }];
    const listeners = row.of ?? [];
    listeners.forEach((one, index) => lines.push({ ...one, key: `${row.key} ${index}`, kind: "listener", label: `${index + 1}. ${one.name}` }));
    if (row.of && !listeners.length) lines.push({ key: `${row.key} none`, kind: "about", label: "no listeners", failures: 0 });
    return lines;
  }

  #spark(row) {
    const rates = this.#rates.get(row.id) ?? [];
    const most = Math.max(...rates, 1e-9);
    const points = rates.map((rate, index) => `${(100 - ((rates.length - 1 - index) * 100) / (SAMPLES - 1)).toFixed(1)},${(17 - (rate / most) * 14).toFixed(1)}`);
    return svg(
      "svg", { viewBox: "0 0 100 18", preserveAspectRatio: "none", class: "sparkline", role: "img", "aria-label": `at most ${perSecond(Math.max(0, ...rates))} a second` },
      svg("line", { x1: 0, y1: 17.5, x2: 100, y2: 17.5 }),
      rates.length > 1 ? svg("polyline", { points: points.join(" ") }) : null,
    );
  }
}
