// Failures, runs, health, threads and settings.

import { request } from "./client.js";
import { NONE, age, clock, count, el, matches, plural, searchField, setText, took, wordsOf } from "./dom.js";
import { Grid } from "./grid.js";

const SECRET = "••••••";

// A line that unfolds to what load() returns; a failure of load() is shown in its place.
function unfolding(summary, load) {
  const inner = el("div", { class: "inner" });
  const details = el("details", {}, el("summary", {}, ...summary), inner);
  details.addEventListener("toggle", async () => {
    if (!details.open) return;
    try {
      inner.replaceChildren(await load());
    } catch (error) {
      inner.replaceChildren(el("p", { class: "none" }, error.message));
    }
  });
  return details;
}

export class Failures {
  name = "failures";
  title = "Failures";
  #items = new Map();

  constructor() {
    this.list = el("div", { class: "list" });
    this.none = el("p", { class: "none" }, "No failures.");
    this.body = el("div", {}, this.none, this.list);
  }

  update(snapshot) {
    for (const failure of snapshot.failures) {
      let item = this.#items.get(failure.id);
      if (!item) {
        const parts = { at: el("time", {}), count: el("span", { class: "times" }), where: el("span", { class: "where" }), error: el("span", { class: "what" }) };
        const load = async () => el("pre", { class: "trace", tabindex: "0" }, (await request(`failures/${failure.id}`)).traceback);
        item = { parts, element: unfolding(Object.values(parts), load) };
        this.#items.set(failure.id, item);
      }
      item.count = failure.count;
      setText(item.parts.at, clock(failure.at));
      setText(item.parts.count, `×${count(failure.count)}`);
      setText(item.parts.where, `${failure.channel} · ${failure.listener}`);
      setText(item.parts.error, failure.error.split("\n")[0]);
      if (this.list.firstChild !== item.element && !item.element.contains(document.activeElement)) this.list.prepend(item.element);
    }
    for (const [id, item] of [...this.#items].slice(0, Math.max(0, this.#items.size - 50))) {
      item.element.remove();
      this.#items.delete(id);
    }
    this.none.hidden = this.#items.size > 0;
  }

  get alarms() {
    return [...this.#items.values()].reduce((sum, item) => sum + item.count, 0);
  }

  get summary() {
    return this.#items.size ? plural(this.alarms, "failure") + ` at ${plural(this.#items.size, "place")}` : "none";
  }

  restarted() {
    this.#items.clear();
    this.list.replaceChildren();
  }
}

const RUN_TONES = { running: "ok", waiting: "warn", failed: "bad", stopping: "busy", idle: "off", ended: "off" };

export class Runs {
  name = "runs";
  title = "Runs";
  #rows = [];

  constructor({ goToComponent }) {
    this.grid = new Grid({
      name: "runs",
      label: "Runs",
      empty: "No component has a run.",
      columns: [
        { title: "State", class: "state", value: (row) => row.state, tone: (row) => RUN_TONES[row.state] ?? "off", sort: (row) => row.state },
        { title: "Run", class: "path", value: (row) => row.path, sort: (row) => row.path },
        { title: "For", class: "c2 number", value: (row) => age(row.since + (Date.now() - row.received) / 1000), sort: (row) => row.since },
        { title: "Restarts", class: "number", value: (row) => count(row.restarts), tone: (row) => (row.restarts ? "warn" : "none"), sort: (row) => row.restarts },
        { title: "Next", class: "c2 number", value: (row) => (row.next === null ? NONE : `in ${age(row.next - (Date.now() - row.received) / 1000)}`), sort: (row) => row.next },
        { title: "Ready", class: "c3", value: (row) => (row.is_ready ? "yes" : "no"), sort: (row) => Number(row.is_ready) },
        { title: "Last error", class: "c1 soft", value: (row) => row.error ?? NONE, sort: (row) => row.error },
      ],
      opened: (row) => goToComponent(row.owner),
    });
    this.body = this.grid.element;
  }

  update(snapshot) {
    if (snapshot.components) {
      const received = Date.now();
      this.#rows = snapshot.components.flatMap((one) => one.runs.map((run) => ({ ...run, key: run.path, owner: one.path, received })));
    }
    this.grid.set(this.#rows);
  }

  tick() {
    this.grid.refresh();
  }

  get alarms() {
    return this.#rows.filter((row) => row.state === "failed").length;
  }

  get summary() {
    const restarts = this.#rows.reduce((sum, row) => sum + row.restarts, 0);
    return this.#rows.length ? `${plural(this.#rows.length, "run")}, ${plural(restarts, "restart")}` : "none";
  }
}

export class Health {
  name = "health";
  title = "Health";
  summary = "";

  constructor() {
    this.button = el("button", { type: "button", onclick: () => this.#load("probe", "POST") }, "Probe now");
    this.note = el("p", { class: "found", role: "status" });
    this.probes = el("div", { class: "probes" });
    this.body = el("div", {}, el("div", { class: "tools" }, this.button, this.note), this.probes);
  }

  update() {}

  unfold() {
    this.#load("health");
  }

  restarted() {
    this.probes.replaceChildren();
    this.summary = this.note.textContent = "";
  }

  async #load(path, method) {
    this.button.disabled = true;
    try {
      const { ready, alive } = await request(path, method);
      const probes = [["Ready", ready], ["Alive", alive]];
      this.note.textContent = method ? `probed at ${clock(Date.now())}` : "The last probes of the program; the button calls the checks.";
      this.summary = probes.map(([name, probe]) => `${name.toLowerCase()}: ${probe ? (probe.ok ? "ok" : "not ok") : "not probed"}`).join(", ");
      this.probes.replaceChildren(...probes.map(([name, probe]) => this.#probe(name, probe)));
    } catch (error) {
      this.note.textContent = error.message;
    }
    this.button.disabled = false;
  }

  #probe(name, probe) {
    const tone = probe ? (probe.ok ? "ok" : "bad") : "off";
    return el(
      "section", { class: "probe", "aria-label": name },
      el("h3", {}, name, " ", el("span", { class: "state", "data-tone": tone }, probe ? (probe.ok ? "ok" : "not ok") : "not probed yet")),
      probe?.reason ? el("p", { class: "error" }, probe.reason) : "",
      probe?.checks.length
        ? el("table", {}, el("thead", {}, el("tr", {}, ...["Check", "Result", "Detail", "Took"].map((title) => el("th", { scope: "col" }, title)))),
            el("tbody", {}, ...probe.checks.map((check) => el("tr", {}, el("th", { scope: "row", class: "path" }, check.name),
              el("td", { class: "state", "data-tone": check.ok ? "ok" : "bad" }, check.ok ? "ok" : "not ok"),
              el("td", {}, check.detail), el("td", { class: "number" }, took(check.seconds))))))
        : el("p", { class: "none" }, probe ? "No checks." : "No check has been called."),
    );
  }
}

export class Threads {
  name = "threads";
  title = "Threads";
  summary = "";
  #rows = [];

  constructor() {
    this.field = searchField("Search stacks", () => this.#draw());
    this.button = el("button", { type: "button", onclick: () => this.#load() }, "Refresh");
    this.note = el("p", { class: "found", role: "status" });
    this.list = el("div", { class: "list" });
    this.body = el("div", {}, el("div", { class: "tools" }, this.field, this.button, this.note), this.list);
  }

  update(snapshot) {
    this.summary = plural(snapshot.process.threads, "thread");
  }

  unfold() {
    this.#load();
  }

  restarted() {
    this.list.replaceChildren();
  }

  async #load() {
    try {
      this.#rows = (await request("threads")).map((row) => {
        const stack = row.stack.map((frame) => `${frame.function}  ${frame.file}:${frame.line}`).reverse();
        return { ...row, stack, text: `${row.kind} ${row.name} ${row.owner} ${stack.join(" ")}`.toLowerCase() };
      });
      const tasks = this.#rows.filter((row) => row.kind === "task").length;
      this.note.textContent = `${plural(this.#rows.length - tasks, "thread")} and ${plural(tasks, "task")} at ${clock(Date.now())}`;
      this.#draw();
    } catch (error) {
      this.note.textContent = error.message;
    }
  }

  #draw() {
    const words = wordsOf(this.field.value);
    this.list.replaceChildren(...this.#rows.filter((row) => matches(row.text, words)).map((row) => {
      const marks = [row.kind, row.owner, row.daemon ? "daemon" : ""].filter(Boolean).join(" · ");
      const summary = [el("span", { class: "where" }, row.name), el("span", { class: "marks" }, marks), el("span", { class: "what" }, row.stack[0] ?? "no frames")];
      return unfolding(summary, () => el("pre", { class: "trace", tabindex: "0" }, row.stack.join("\n") || "no frames"));
    }));
  }
}

export class Settings {
  name = "settings";
  title = "Settings";
  summary = "";

  constructor() {
    this.body = el("div", { class: "settings" });
  }

  update() {}

  async unfold() {
    try {
      const rows = await request("settings");
      this.summary = plural(rows.length, "setting");
      this.body.replaceChildren(rows.length ? this.#table(rows) : el("p", { class: "none" }, "The program has no settings, or has not read them."));
    } catch (error) {
      this.body.replaceChildren(el("p", { class: "none" }, error.message));
    }
  }

  #table(rows) {
    const line = (row) => el("tr", {}, el("th", { scope: "row", class: "mono key-name" }, row.key),
      el("td", { class: "mono" }, row.secret ? SECRET : valueText(row.value)), el("td", {}, row.source));
    return el("table", {}, el("thead", {}, el("tr", {}, ...["Key", "Value", "Source"].map((title) => el("th", { scope: "col" }, title)))),
      el("tbody", {}, ...rows.map(line)));
  }
}

const valueText = (value) => (value === null ? NONE : typeof value === "string" ? value : JSON.stringify(value));
