// Elements, numbers and small widgets that all sections use. Text from the data is only inserted as text nodes.

const SVG = "http://www.w3.org/2000/svg";

/** Sets attributes; null and false are skipped, `on` has listeners, `--name` is a style property. */
function dress(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name.startsWith("--")) node.style.setProperty(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  return node;
}

/** Creates an HTML element; children are nodes or text, null is skipped. */
function el(tag, attributes = {}, ...children) {
  const node = dress(document.createElement(tag), attributes);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Creates an SVG element in the same way. */
function svg(tag, attributes = {}, ...children) {
  const node = dress(document.createElementNS(SVG, tag), attributes);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Converts a name to an id of letters, digits and hyphens; different names give different ids. */
function slug(name) {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
  return `${name.replace(/[^A-Za-z0-9]+/g, "-").slice(0, 48)}-${hash.toString(36)}`;
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const minus = (text) => text.replace("-", "−").replace("e-", "e−");

/** Formats a number with three digits, e notation for very small and large ones, an en dash for a missing one. */
function num(value) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e6) return minus(value.toExponential(1));
  return minus(size >= 100 ? value.toFixed(0) : value.toPrecision(3));
}

/** The same with an explicit sign, for differences. */
const signed = (value) => (isNumber(value) && value > 0 ? `+${num(value)}` : num(value));

/**
 * "mean [low, high]", with digits that suit the width of the interval, and at least some decimals; only the mean if
 * there is no interval.
 */
function withInterval(centre, low, high, { sign = false, least = 0 } = {}) {
  const write = sign ? signed : num;
  if (!isNumber(low) || !isNumber(high)) return write(centre);
  const size = Math.max(Math.abs(centre), Math.abs(low), Math.abs(high)) || 1;
  const places = (value, digits) => digits - 1 - Math.floor(Math.log10(value));
  const decimals = Math.max(least, Math.min(high > low ? places(high - low, 2) : 9, places(size, 4)));
  const fixed = (value) => {
    const text = value.toFixed(decimals);
    if (Number(text) === 0) return text.replace("-", ""); // no sign for what is rounded to zero
    return (sign && value > 0 ? "+" : "") + minus(text);
  };
  const [shown, from, to] = [centre, low, high].map(decimals <= 5 ? fixed : write);
  return `${shown} [${from}, ${to}]`;
}

/** Formats a p-value with two digits; levels of single tests are far below 0.001. */
function pText(value) {
  if (!isNumber(value)) return "–";
  return value < 1e-6 ? "< 1e−6" : value > 0.999 ? "1" : value < 1e-3 ? minus(value.toExponential(1)) : value.toPrecision(2);
}

/** Large numbers with k, M or G. */
function big(value) {
  if (!isNumber(value)) return "–";
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (Math.abs(value) >= size) return `${num(value / (unit === "k" ? 1e3 : size))} ${unit}`;
  }
  return num(value);
}

const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);

function median(values) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

/** The text of an empty section. */
const emptyNote = (text) => el("p", { class: "empty" }, text);

/** A table in a horizontally scrolling box; the columns in `numeric` are right-aligned. */
function dataTable(label, head, rows, { numeric = [], tall = false } = {}) {
  const kind = (column) => (numeric.includes(column) ? "number" : null);
  const table = el("table", { class: "data" },
    el("thead", {}, el("tr", {}, head.map((title, column) => el("th", { scope: "col", class: kind(column) }, title)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, column) =>
      column === 0 ? el("th", { scope: "row" }, cell) : el("td", { class: kind(column) }, cell))))));
  return el("div", { class: tall ? "scroll tall" : "scroll", tabindex: 0, role: "region", "aria-label": label }, table);
}

/** A command with a button that copies it. */
function copyable(command) {
  const code = el("code", {}, command);
  const said = el("span", { class: "said", role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(command);
      said.textContent = "copied";
    } catch { // Browsers may deny clipboard access to local files: select the text instead.
      getSelection().selectAllChildren(code);
      said.textContent = "selected";
    }
    setTimeout(() => { said.textContent = ""; }, 2500);
  };
  return el("div", { class: "command" }, el("pre", { tabindex: 0 }, code),
    el("button", { type: "button", class: "copy", on: { click: copy } }, "Copy"), said);
}

/** A drop-down list with its label. */
function dropdown(id, label, options, value, change) {
  const select = el("select", { id, on: { change: () => change(select.value) } },
    options.map(([key, name]) => el("option", { value: key, selected: key === value }, name)));
  return el("label", { class: "field", for: id }, el("span", {}, label), select);
}

/** A row of radio buttons with a legend. */
function radios(id, label, options, value, change) {
  return el("fieldset", { class: "radios" }, el("legend", {}, label), options.map(([key, name]) =>
    el("label", {}, el("input", {
      type: "radio", name: id, id: `${id}-${key}`, value: key, checked: key === value,
      on: { change: () => change(key) },
    }), el("span", {}, name))));
}
