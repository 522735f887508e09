// A component, those it needs on its left and those that need it on its right; in a narrow panel above and below.

import { count, svg } from "./dom.js";

const MOST = 9;
const TALL = 40;
const GAP = 10;
const NARROW = 420;
const LETTER = 6.7;

// needs and users: [{row or null, path, soft}]; go(path) moves the focus, more(side) shows those left out.
export function neighbourhood({ focus, needs, users, width, go, more }) {
  const isNarrow = width < NARROW;
  const sides = [cut(needs, "needs"), cut(users, "users")];
  return isNarrow ? stacked(focus, sides, width, go, more) : abreast(focus, sides, width, go, more);
}

const cut = (all, side) =>
  all.length <= MOST ? { side, shown: all, left: 0 } : { side, shown: all.slice(0, MOST - 1), left: all.length - MOST + 1 };

const heightOf = ({ shown, left }) => (shown.length + (left ? 1 : 0)) * (TALL + GAP) - GAP;

function abreast(focus, sides, width, go, more) {
  const box = Math.min(220, (width - 84) / 3);
  const lane = (width - 3 * box) / 2;
  const height = Math.max(TALL, ...sides.map(heightOf));
  const middle = height / 2;
  const centre = box + lane;
  const drawing = picture(width, height + 26, focus);
  drawing.append(
    caption(0, "needs"), caption(centre, "component"), caption(width - box, "is needed by"),
  );
  const lines = svg("g", {});
  const boxes = svg("g", {});
  sides.forEach((side, index) => {
    const x = index ? width - box : 0;
    let y = 26 + middle - Math.max(heightOf(side), 0) / 2;
    for (const one of [...side.shown, ...(side.left ? [null] : [])]) {
      const at = y + TALL / 2;
      const [from, to] = index ? [centre + box, width - box] : [box, centre];
      const [start, end] = index ? [26 + middle, at] : [at, 26 + middle];
      lines.append(line(`M${from},${start}C${from + lane / 2},${start} ${to - lane / 2},${end} ${to - 5},${end}`, one));
      boxes.append(one ? node(one, x, y, box, go) : rest(side, x, y, box, more));
      y += TALL + GAP;
    }
  });
  boxes.append(node({ row: focus, path: focus.path }, centre, 26 + middle - TALL / 2, box, null));
  drawing.append(lines, boxes);
  return drawing;
}

function stacked(focus, [needs, users], width, go, more) {
  const indent = 18;
  const box = width - 2 * indent;
  const lines = svg("g", {});
  const boxes = svg("g", {});
  let y = 0;
  const block = (title, side, x) => {
    boxes.append(caption(x, title, y + 12));
    y += 22;
    const entries = [...side.shown, ...(side.left ? [null] : [])];
    const from = y;
    for (const one of entries) {
      boxes.append(one ? node(one, x, y, box, go) : rest(side, x, y, box, more));
      y += TALL + GAP;
    }
    return { from, to: y - GAP, entries };
  };
  const above = block("needs", needs, 0);
  if (!above.entries.length) boxes.append(caption(0, "nothing", (y += 12) - 2));
  const top = y;
  boxes.append(node({ row: focus, path: focus.path }, indent, y, box, null));
  y += TALL + GAP;
  const below = block("is needed by", users, 2 * indent);
  if (!below.entries.length) boxes.append(caption(2 * indent, "nothing", (y += 12) - 2));
  above.entries.forEach((one, index) => {
    const at = above.from + index * (TALL + GAP) + TALL / 2;
    lines.append(line(`M${box},${at}H${width - 9}V${top + TALL / 2}H${width - indent + 5}`, one));
  });
  below.entries.forEach((one, index) => {
    const at = below.from + index * (TALL + GAP) + TALL / 2;
    lines.append(line(`M${indent + 9},${top + TALL}V${at}H${2 * indent - 5}`, one));
  });
  const drawing = picture(width, y, focus);
  drawing.append(lines, boxes);
  return drawing;
}

function picture(width, height, focus) {
  return svg(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, class: "graph", role: "group", "aria-label": `What ${focus.path} needs, and what needs it` },
    svg("defs", {}, svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
      svg("path", { d: "M0,0L8,4L0,8z", class: "tip" }))),
  );
}

const caption = (x, text, y = 12) => svg("text", { x, y, class: "caption" }, text);

const line = (d, one) => svg("path", { d, class: one?.soft ? "edge soft" : "edge", "marker-end": "url(#tip)" });

function node({ row, path, soft }, x, y, width, go) {
  const tone = row?.tone ?? "off";
  const letters = Math.floor((width - 24) / LETTER);
  const press = (event) => {
    if (event.type === "click" || event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      go(path);
    }
  };
  const acts = go && row ? { role: "button", tabindex: "0", onclick: press, onkeydown: press } : {};
  const text = row ? row.shown : "not in this process";
  return svg(
    "g",
    { class: go ? "node" : "node focus", "data-tone": tone, "aria-label": `${path}, ${text}`, ...acts },
    svg("title", {}, soft ? `${path}\nstarts first, since it listens to a channel` : path),
    svg("rect", { x, y, width, height: TALL, rx: 5 }),
    svg("rect", { x, y: y + 5, width: 3, height: TALL - 10, rx: 1.5, class: "side" }),
    svg("text", { x: x + 13, y: y + 17, class: "name" }, tail(brief(path), letters)),
    svg("text", { x: x + 13, y: y + 31, class: "small" }, tail(text, letters + 2)),
  );
}

function rest({ side, left }, x, y, width, more) {
  const press = (event) => (event.type === "click" || event.key === "Enter" || event.key === " ") && more(side);
  return svg(
    "g",
    { class: "node rest", role: "button", tabindex: "0", onclick: press, onkeydown: press },
    svg("rect", { x, y, width, height: TALL, rx: 5 }),
    svg("text", { x: x + 13, y: y + 24, class: "small" }, `and ${count(left)} more`),
  );
}

// The name of the container is the same for most.
const brief = (path) => path.slice(path.indexOf(".") + 1);

// The end of a path says more than its beginning.
const tail = (text, letters) => (text.length <= letters ? text : `…${text.slice(1 - Math.max(letters, 2))}`);
