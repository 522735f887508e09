// The transitions of the bus, and its last start as bars.

import { request } from "./client.js";
import { NONE, age, clock, count, el, plural, svg, took } from "./dom.js";

const MOST_TRANSITIONS = 12;
const MOST_BARS = 24;
const MOST_LANES = 24;
const LEAST_SHARE = 0.002;
const TONES = { STARTED: "ok", STARTING: "busy", STOPPING: "warn", STOPPED: "off", EXITING: "warn", EXITED: "off" };

export class Life {
  name = "life";
  title = "Life";
  #moves = [];
  #lost = 0;
  #stale = true;

  constructor({ goToComponent }) {
    this.goToComponent = goToComponent;
    this.moves = el("ol", { class: "moves", "aria-label": "Transitions" });
    this.lost = el("p", { class: "lost", hidden: true });
    this.start = el("div", { class: "start" });
    this.body = el("div", {}, this.moves, this.lost, this.start);
  }

  update(snapshot, isUnfolded) {
    for (const event of snapshot.events) {
      if (event.kind !== "Moved" || this.#moves.some((move) => move.seq === event.seq)) continue;
      const [before, after] = event.detail.split(" -> ");
      this.#moves.push({ seq: event.seq, at: Date.parse(event.at), before, after });
    }
    this.#moves.splice(0, this.#moves.length - MOST_TRANSITIONS);
    this.#lost += snapshot.lost.events;
    if (snapshot.events.some((event) => !/^(Run|Listener)/.test(event.kind))) this.#stale = true;
    if (isUnfolded) this.tick(Date.parse(snapshot.now));
  }

  unfold() {
    this.tick(Date.now());
  }

  // now: the time of the process.
  tick(now) {
    this.#list(now);
    if (this.#stale) this.#load();
  }

  get summary() {
    const last = this.#moves.at(-1);
    return last ? `${last.before} → ${last.after} at ${clock(last.at)}` : "";
  }

  restarted() {
    this.#moves = [];
    this.#lost = 0;
  }

  #list(now) {
    this.moves.replaceChildren(...this.#moves.map((move, index) => {
      const next = this.#moves[index + 1];
      const lasted = ((next?.at ?? now) - move.at) / 1000;
      return el(
        "li", { "data-tone": TONES[move.after] ?? "off", "aria-current": next ? null : "step" },
        el("strong", {}, move.after), el("span", {}, `${clock(move.at)} · ${next ? took(lasted) : `for ${age(lasted)}`}`),
      );
    }));
    this.lost.hidden = !this.#lost;
    this.lost.textContent = `${plural(this.#lost, "event")} happened between two requests, and are not shown.`;
  }

  async #load() {
    this.#stale = false;
    try {
      this.#chart(await request("start"));
    } catch {
      this.#stale = true; // the poll shows the reason
    }
  }

  #chart(report) {
    const critical = new Set(report.critical_path.paths);
    const bars = report.components.flatMap((one) => {
      const spans = [one.construct && { ...one.construct, step: "construct" }, ...one.starts.map((span) => ({ ...span, step: "start" }))];
      return spans.filter(Boolean).map((span) => ({ ...span, path: one.path, critical: critical.has(one.path), outcome: one.outcome }));
    });
    bars.sort((one, other) => one.began - other.began);
    // What was constructed before the start is left of its beginning.
    const before = Math.min(0, ...bars.slice(0, 1).map((bar) => bar.began));
    for (const bar of bars) bar.began -= before;
    const total = bars.reduce((end, bar) => Math.max(end, bar.began + bar.seconds), Math.max(report.seconds - before, 1e-9));
    if (!bars.length) {
      this.start.replaceChildren(el("p", { class: "none" }, "No start has been recorded."));
      return;
    }
    const rows = chosen(report.components, critical, total * LEAST_SHARE);
    const left = report.components.length - rows.length;
    this.start.replaceChildren(
      el("h3", {}, `Last start: ${report.outcome} in ${took(report.seconds)}`),
      el("p", { class: "hint" }, `Critical path ${took(report.critical_path.seconds)}, ${plural(critical.size, "component")}: bold. `,
        el("span", { class: "key construct" }, "construct"), " ", el("span", { class: "key start" }, "start"), " ",
        el("span", { class: "key critical" }, "critical path")),
      el("ol", { class: "bars" }, axis(total), lanes(bars, total), ...rows.map((one) => this.#bar(one, bars, total, critical))),
      left > 0 ? el("p", { class: "hint" }, `Only the slowest and the critical path; the lanes have all ${count(report.components.length)}.`) : "",
    );
  }

  #bar(one, bars, total, critical) {
    const track = el("span", { class: "track" });
    for (const bar of bars.filter((other) => other.path === one.path)) {
      const piece = el("span", { class: `piece ${bar.step}`, "data-outcome": bar.outcome, title: `${bar.step}: ${took(bar.seconds)}, ${took(bar.began)} after the beginning` });
      piece.style.left = `${(bar.began / total) * 100}%`;
      piece.style.width = `${(bar.seconds / total) * 100}%`;
      track.append(piece);
    }
    return el(
      "li", { class: critical.has(one.path) ? "critical" : "" },
      el("button", { type: "button", class: "label", title: one.path, onclick: () => this.goToComponent(one.path) }, one.path),
      track, el("span", { class: "number" }, one.seconds ? took(one.seconds) : NONE),
    );
  }
}

function chosen(components, critical, least) {
  const timed = components.filter((one) => one.construct || one.starts.length);
  const slowest = [...timed].sort((one, other) => other.seconds - one.seconds).slice(0, MOST_BARS).filter((one) => one.seconds >= least);
  const links = timed.filter((one) => critical.has(one.path)).sort((one, other) => other.seconds - one.seconds).slice(0, MOST_BARS);
  const shown = new Set([...slowest, ...links]);
  const began = (one) => Math.min(...[one.construct, ...one.starts].filter(Boolean).map((span) => span.began));
  return [...shown].sort((one, other) => began(one) - began(other));
}

function axis(total) {
  const track = el("span", { class: "track" });
  for (const share of [0, 0.25, 0.5, 0.75]) {
    const mark = el("span", { class: "mark" }, share ? took(total * share) : "0");
    mark.style.left = `${share * 100}%`;
    track.append(mark);
  }
  return el("li", { class: "axis", "aria-hidden": "true" }, el("span", {}), track, el("span", { class: "number" }, took(total)));
}

// Every bar, on as many lanes as run side by side; bars that would be thinner than a dot join their neighbour.
function lanes(bars, total) {
  const ends = [];
  const drawn = [];
  for (const bar of bars) {
    const end = bar.began + bar.seconds;
    let lane = ends.findIndex((last) => last <= bar.began + 1e-9);
    if (lane < 0) lane = ends.length < MOST_LANES ? ends.push(0) - 1 : MOST_LANES - 1;
    ends[lane] = end;
    const x = (bar.began / total) * 1000;
    const width = Math.max((bar.seconds / total) * 1000, 0.8);
    const last = drawn.findLast?.((one) => one.lane === lane);
    if (last && width < 2 && x - (last.x + last.width) < 0.3 && last.critical === bar.critical && last.step === bar.step) last.width = x + width - last.x;
    else drawn.push({ lane, x, width, step: bar.step, critical: bar.critical });
  }
  const height = ends.length * 9 - 2;
  const name = ends.length > 1 ? `all, on ${ends.length} lanes` : "all, one after the other";
  return el("li", { class: "all" }, el("span", {}, name), svg(
    "svg", { class: "lanes", viewBox: `0 0 1000 ${height}`, height, preserveAspectRatio: "none", "aria-hidden": "true" },
    ...drawn.map(({ lane, x, width, step, critical }) =>
      svg("rect", { x: x.toFixed(2), y: lane * 9, width: width.toFixed(2), height: 7, class: `${step}${critical ? " critical" : ""}` })),
  ), el("span", {}));
}
