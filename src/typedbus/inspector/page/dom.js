// Elements, and numbers as text. Text from the process is only ever set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Sets only what differs, so that a selection of text and the focus survive an update.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setState(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export const NONE = "–";

const digits = (value) => (value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0));

// A duration that was measured: 850 ns, 12.3 µs, 4.20 ms, 1.25 s.
export function took(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds === 0) return "0";
  if (seconds < 1e-6) return `${(seconds * 1e9).toFixed(0)} ns`;
  if (seconds < 1e-3) return `${digits(seconds * 1e6)} µs`;
  if (seconds < 1) return `${digits(seconds * 1e3)} ms`;
  return seconds < 100 ? `${digits(seconds)} s` : age(seconds);
}

// A duration that goes on: 4 s, 3 m 12 s, 2 h 5 m, 3 d 4 h.
export function age(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const first = parts.findIndex(([size]) => whole >= size);
  if (first < 0) return "0 s";
  const [size, unit] = parts[first];
  const [next, small] = parts[first + 1] ?? [0, ""];
  const rest = next ? Math.floor((whole % size) / next) : 0;
  return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${small}` : ""}`;
}

export const count = (value) => (value === null || value === undefined ? NONE : value.toLocaleString("en"));

export function perSecond(rate) {
  if (rate === null || rate === undefined) return NONE;
  return rate === 0 ? "0" : rate < 10 ? rate.toFixed(1) : count(Math.round(rate));
}

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export function clock(at) {
  const date = new Date(at);
  const two = (number) => String(number).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

// Whether each word of the search is in the text.
export const matches = (text, words) => words.every((word) => text.includes(word));

export const wordsOf = (search) => search.toLowerCase().split(/\s+/).filter(Boolean);

export function searchField(label, changed) {
  return el("input", {
    type: "search", class: "search", placeholder: label, "aria-label": label, spellcheck: "false", autocomplete: "off",
    oninput: (event) => changed(event.target.value),
    onkeydown: (event) => {
      if (event.key === "Escape") {
        event.target.value = "";
        changed("");
      }
    },
  });
}
