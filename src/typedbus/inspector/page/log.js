// The messages on LOG: the last thousand, with a filter, a level and a pause.

import { clock, count, el, matches, plural, searchField, wordsOf } from "./dom.js";

const MOST = 1000;
const LEVELS = [["all levels", 0], ["info", 20], ["warning", 30], ["error", 40], ["critical", 50]];
const nameOf = (level) => (level >= 50 ? "critical" : level >= 40 ? "error" : level >= 30 ? "warning" : level >= 20 ? "info" : "debug");
const TONES = { critical: "bad", error: "bad", warning: "warn" };

export class Log {
  name = "log";
  title = "Log";
  #lines = [];
  #seq = 0;
  #lost = 0;
  #waiting = [];
  #isPaused = false;

  constructor() {
    this.field = searchField("Filter the log", () => this.#draw());
    this.level = el("select", { "aria-label": "Lowest level", onchange: () => this.#draw() },
      ...LEVELS.map(([name, value]) => el("option", { value }, name)));
    this.pause = el("button", { type: "button", "aria-pressed": "false", onclick: () => this.#toggle() }, "Pause");
    this.found = el("p", { class: "found", role: "status" });
    this.lost = el("p", { class: "lost", hidden: true });
    this.list = el("ol", { class: "lines", tabindex: "0", role: "log", "aria-label": "Log", "aria-live": "off" });
    this.body = el("div", {}, el("div", { class: "tools" }, this.field, this.level, this.pause, this.found), this.lost, this.list);
  }

  update(snapshot) {
    const added = snapshot.log.filter((line) => line.seq > this.#seq).map((line) => {
      const level = nameOf(line.level);
      return { ...line, name: level, text: line.text, lower: `${level} ${line.text}`.toLowerCase() };
    });
    if (added.length) this.#seq = added.at(-1).seq;
    this.#lost += snapshot.lost.log;
    this.lost.hidden = !this.#lost;
    this.lost.textContent = `${plural(this.#lost, "line")} were dropped between two requests.`;
    if (added.length) this.#add(added);
  }

  get hasLines() {
    return this.#seq > 0;
  }

  get summary() {
    return this.#lines.length ? plural(this.#lines.length, "line") : "";
  }

  restarted(process) {
    this.#seq = 0;
    if (this.#lines.length) this.#add([{ level: 100, name: "", text: `process ${process.pid} follows`, lower: "", isBreak: true }]);
  }

  unfold() {
    this.list.scrollTop = this.list.scrollHeight;
  }

  #add(lines) {
    if (this.#isPaused) {
      this.#waiting.push(...lines);
      this.#waiting.splice(0, this.#waiting.length - MOST);
    } else {
      this.#lines.push(...lines);
      this.#lines.splice(0, this.#lines.length - MOST);
      const isAtEnd = this.list.scrollTop + this.list.clientHeight >= this.list.scrollHeight - 30;
      this.list.append(...lines.filter((line) => this.#shown(line)).map((line) => this.#item(line)));
      while (this.list.childElementCount > MOST) this.list.firstChild.remove();
      if (isAtEnd) this.list.scrollTop = this.list.scrollHeight;
    }
    this.#count();
  }

  #shown(line) {
    return line.isBreak || (line.level >= Number(this.level.value) && matches(line.lower, wordsOf(this.field.value)));
  }

  #item(line) {
    if (line.isBreak) return el("li", { class: "break" }, line.text);
    return el("li", { "data-tone": TONES[line.name] ?? "none" }, el("time", { datetime: line.at }, clock(line.at)),
      el("span", { class: "level" }, line.name), el("span", { class: "text" }, line.text));
  }

  #draw() {
    this.list.replaceChildren(...this.#lines.filter((line) => this.#shown(line)).map((line) => this.#item(line)));
    this.list.scrollTop = this.list.scrollHeight;
    this.#count();
  }

  #toggle() {
    this.#isPaused = !this.#isPaused;
    this.pause.setAttribute("aria-pressed", String(this.#isPaused));
    this.pause.textContent = this.#isPaused ? "Go on" : "Pause";
    if (!this.#isPaused) this.#add(this.#waiting.splice(0));
    this.#count();
  }

  #count() {
    const shown = this.list.childElementCount;
    const waiting = this.#isPaused && this.#waiting.length ? `, ${count(this.#waiting.length)} more since the pause` : "";
    this.found.textContent = `${count(shown)} of ${plural(this.#lines.length, "line")}${waiting}`;
  }
}
