// Makes elements from values. Texts from elsewhere only ever become text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

// Characters that could change the direction of writing, hide text or move a cursor are shown as numbers: C0 and C1
// controls except tab and line end, direction marks, zero-width characters, the tag block. Spaces and joiners stay:
// some scripts need them.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

export function visible(text) {
  return String(text).replace(HIDDEN, (c) => `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
}

// Adds a node for each child. The style (`unicode-bidi`) isolates the direction of a text from its surroundings.
function put(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
}

function make(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : visible(value));
  }
  put(element, children);
  return element;
}

export const h = (name, attributes, ...children) => make(document.createElement(name), attributes, children);
export const svg = (name, attributes, ...children) => make(document.createElementNS(SVG, name), attributes, children);

// A text from the Hub: its direction is isolated, and it may be broken anywhere.
export const said = (text) => h("bdi", { class: "said" }, text);
export const code = (text) => h("code", { class: "said", dir: "ltr" }, text);
// A short name of hublet's own, which is not broken.
export const name = (text) => h("code", { class: "whole" }, text);

export function button(label, press, attributes) {
  return h("button", { type: "button", ...attributes, onclick: press }, label);
}

const FEW = 5;

// `heads` are texts; `rows` are arrays of cells, of which the first names the row. Where there is no room for columns,
// each cell shows its head; this begins at a greater width for tables of many columns.
export function table(caption, heads, rows, { most = 100, none = "None." } = {}) {
  const body = h("tbody");
  const fill = (from, to) => {
    for (const cells of rows.slice(from, to)) {
      body.append(
        h(
          "tr",
          null,
          cells.map((cell, n) => (n ? h("td", { "data-head": heads[n] }, cell) : h("th", { scope: "row" }, cell))),
        ),
      );
      for (const cell of body.lastChild.cells) cell.classList.toggle("blank", !cell.textContent.trim());
    }
  };
  fill(0, most);
  const whole = h(
    "table",
    null,
    h("caption", null, caption),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        heads.map((head) => h("th", { scope: "col" }, head)),
      ),
    ),
    body,
  );
  if (!rows.length)
    return h("div", { class: "table" }, h("p", { class: "caption" }, caption), h("p", { class: "quiet" }, none));
  const rest = rows.length - most;
  const more =
    rest > 0 &&
    button(`Show ${rest} more`, (event) => {
      fill(most);
      event.currentTarget.remove();
    });
  return h("div", { class: heads.length > FEW ? "table many" : "table" }, whole, more);
}

// A short word with a tone: good, warn, bad or calm.
export function badge(word, tone) {
  return h("span", { class: `badge ${tone}` }, word);
}

export function card(title, ...children) {
  return h("section", { class: "card" }, title && h("h2", null, title), ...children);
}

const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
];

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  for (const [size, unit] of UNITS) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  return `${Math.max(0, Math.floor(seconds))} s`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "numeric",
  minute: "2-digit",
});
const YEARS = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const HOURS = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

export function when(at) {
  const date = new Date(at * 1000);
  const form = date.getFullYear() === new Date().getFullYear() ? CLOCK : YEARS;
  return h("time", { datetime: date.toISOString() }, form.format(date));
}

export const hours = (at) => HOURS.format(new Date(at * 1000));

// How long ago a moment was; kept up to date while the page is visible (see `tick`).
export function ago(at) {
  return h("time", { datetime: new Date(at * 1000).toISOString(), "data-at": at }, since(at));
}

function since(at) {
  const seconds = Date.now() / 1000 - at;
  return seconds < 10 ? "just now" : `${duration(seconds)} ago`;
}

export function tick() {
  for (const each of document.querySelectorAll("time[data-at]")) {
    each.textContent = since(Number(each.dataset.at));
  }
}

export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
