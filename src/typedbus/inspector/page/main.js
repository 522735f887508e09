// The head, the sections that fold, and the poll that fills them.

import { Channels } from "./channels.js";
import { Poll, rememberToken, takeToken, useToken } from "./client.js";
import { Components } from "./components.js";
import { age, el, setState, setText } from "./dom.js";
import { Life } from "./life.js";
import { Failures, Health, Runs, Settings, Threads } from "./lists.js";
import { Log } from "./log.js";

const OPEN = "typedbus-open";
const TONES = { STARTED: "ok", STARTING: "busy", STOPPING: "warn", EXITING: "warn" };
const byId = (id) => document.getElementById(id);

let seq = 0;
let last = null; // the last snapshot
let received = 0; // when it came
let answered = 0; // when the last answer came
let goneSince = 0;
const open = new Set(stored() ?? ["life", "components"]);

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(OPEN));
  } catch {
    return null;
  }
}

const toComponent = (path) => {
  unfold("components", true);
  parts.components.focus(path);
  parts.components.grid.element.focus({ preventScroll: true });
};
const toChannel = (name) => {
  unfold("channels", true);
  parts.channels.show(name);
};

const parts = Object.fromEntries(
  [
    new Life({ goToComponent: toComponent }),
    new Components({ goToChannel: toChannel }),
    new Channels({ pollNow: () => poll.now() }),
    new Failures(),
    new Runs({ goToComponent: toComponent }),
    new Health(),
    new Threads(),
    new Settings(),
    new Log(),
  ].map((part) => [part.name, part]),
);

Object.values(parts).forEach((part, index) => {
  const key = String(index + 1);
  part.count = el("span", { class: "summary" });
  part.head = el("button", { type: "button", id: `head-${part.name}`, "aria-controls": `body-${part.name}`, onclick: () => toggle(part.name) },
    el("span", { class: "fold", "aria-hidden": "true" }), part.title, part.count);
  part.holder = el("div", { class: "body", id: `body-${part.name}`, role: "region", "aria-labelledby": `head-${part.name}` }, part.body);
  part.badge = el("span", { class: "badge" });
  part.link = el("button", { type: "button", onclick: () => unfold(part.name, true), "aria-keyshortcuts": key },
    el("span", {}, part.title), part.badge, el("kbd", { "aria-hidden": "true" }, key));
  byId("sections").append(el("section", { id: part.name }, el("h2", {}, part.head), part.holder));
  byId("rail").append(part.link);
  fold(part, open.has(part.name));
});
byId("rail").append(el("p", { class: "keys" }, el("kbd", {}, "/"), " search  ", el("kbd", {}, "1"), "–", el("kbd", {}, "9"), " sections"));

function fold(part, isOpen) {
  part.holder.hidden = !isOpen;
  setState(part.head, "aria-expanded", String(isOpen));
  setState(part.link, "data-open", String(isOpen));
}

function toggle(name) {
  const isOpen = !open.has(name);
  if (isOpen) open.add(name);
  else open.delete(name);
  try {
    sessionStorage.setItem(OPEN, JSON.stringify([...open]));
  } catch {
    // The next visit begins with the usual sections.
  }
  fold(parts[name], isOpen);
  if (isOpen) {
    if (name === "log" && !parts.log.hasLines) seq = 0;
    if (last) parts[name].unfold?.();
    poll.now();
  } else parts[name].fold?.();
}

function unfold(name, isScrolled) {
  if (!open.has(name)) toggle(name);
  if (isScrolled) {
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    byId(name).scrollIntoView({ behavior: isCalm ? "auto" : "smooth", block: "start" });
    parts[name].head.focus({ preventScroll: true });
  }
}

const poll = new Poll({
  ask() {
    const query = new URLSearchParams({ since: String(seq), open: [...open].join(",") });
    if (open.has("channels")) query.set("of", parts.channels.unfolded.join(","));
    return `snapshot?${query}`;
  },
  got(snapshot) {
    answered = Date.now();
    goneSince = 0;
    byId("gone").hidden = byId("door").hidden = true;
    document.body.classList.remove("gone");
    if (snapshot) take(snapshot);
    showHead();
  },
  failed() {
    goneSince ||= answered || Date.now();
    document.body.classList.add("gone");
    showHead();
  },
  refused(error) {
    setText(byId("refused"), error.message);
    byId("door").hidden = false;
    byId("gone").hidden = true;
    setState(byId("link"), "data-link", "gone");
    setText(byId("link"), "no access");
    document.body.classList.add("gone");
    byId("token").focus();
  },
});

function take(snapshot) {
  const isFirst = !last;
  const isOther = last && last.process.started !== snapshot.process.started;
  if (isOther) Object.values(parts).forEach((part) => part.restarted?.(snapshot.process));
  last = snapshot;
  received = answered;
  seq = snapshot.seq;
  for (const part of Object.values(parts)) {
    part.update(snapshot, open.has(part.name));
    if ((isFirst || isOther) && open.has(part.name)) part.unfold?.();
  }
}

function showHead() {
  const passed = (Date.now() - received) / 1000;
  const link = byId("link");
  if (goneSince) {
    const silent = age((Date.now() - goneSince) / 1000);
    setText(byId("gone"), `The process has not answered for ${silent}: it has ended, or cannot be reached. The page tries again.`);
    byId("gone").hidden = false;
    setState(link, "data-link", "gone");
    setText(link, "no answer");
  } else if (answered) {
    setState(link, "data-link", "live");
    setText(link, "live");
  }
  if (!last) return;
  const { bus, process } = last;
  const name = parts.components.container ?? "typedbus";
  setText(byId("name"), name);
  document.title = goneSince ? `no answer – ${name}` : `${bus.state.toLowerCase()} – ${name}`;
  const state = byId("state");
  setText(state, goneSince ? `was ${bus.state}` : `${bus.state} for ${age(bus.since + passed)}`);
  setState(state, "data-tone", goneSince ? "off" : (TONES[bus.state] ?? "off"));
  const exit = byId("exit");
  exit.hidden = !bus.exit_requested;
  setText(exit, `An exit was requested${bus.causes.length ? `: ${bus.causes.join("; ")}` : "."}`);
  const up = (Date.parse(last.now) - Date.parse(process.started)) / 1000 + passed;
  const facts = [["pid", String(process.pid)], ["up", age(goneSince ? up - passed : up)], ["threads", String(process.threads)], ["Python", process.python], ["typedbus", process.typedbus]];
  const list = byId("facts");
  if (!list.children.length) list.append(...facts.map(([term]) => el("div", {}, el("dt", {}, term), el("dd", {}))));
  facts.forEach(([, value], index) => setText(list.children[index].lastChild, value));
  for (const part of Object.values(parts)) {
    setText(part.count, part.summary ?? "");
    setText(part.badge, part.alarms ? String(part.alarms) : "");
  }
}

setInterval(() => {
  showHead();
  if (!last || goneSince) return;
  const now = Date.parse(last.now) + Date.now() - received;
  for (const name of open) parts[name]?.tick?.(now);
}, 1000);

byId("door").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(byId("token").value.trim());
  byId("token").value = "";
  poll.now();
});

addEventListener("hashchange", () => takeToken() && poll.now());

addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, select, textarea");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    const name = event.target.closest?.("section")?.id;
    const part = parts[name]?.field && open.has(name) ? parts[name] : parts.components;
    if (!open.has(part.name)) toggle(part.name);
    part.field.focus();
    part.field.select();
  } else if (/^[1-9]$/.test(event.key)) unfold(Object.keys(parts)[event.key - 1], true);
  else return;
  event.preventDefault();
});

rememberToken();
takeToken();
poll.now();
