// Scales, axes, and the style of an arm: one of Okabe and Ito's colours, a dash pattern and a marker.

const NUM_COLOURS = 7;
const DASHES = [null, "7 4", "2 3", "10 3 2 3", "14 4"];
const MARKERS = [
  (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`, // circle
  (r) => polygon([[-r, -r], [r, -r], [r, r], [-r, r]], 0.88), // square
  (r) => polygon([[0, -r], [r, r * 0.8], [-r, r * 0.8]], 1.15), // triangle
  (r) => polygon([[0, -r], [r, 0], [0, r], [-r, 0]], 1.25), // diamond
  (r) => polygon([[0, r], [r, -r * 0.8], [-r, -r * 0.8]], 1.15), // triangle on its head
  (r) => polygon(plus(r), 1.15), // plus
  (r) => polygon(plus(r).map(([x, y]) => [(x + y) * Math.SQRT1_2, (y - x) * Math.SQRT1_2]), 1.15), // cross
  (r) => polygon([0, 1, 2, 3, 4].map((k) => [Math.sin(k * 1.2566) * r, -Math.cos(k * 1.2566) * r]), 1.15), // pentagon
];

function polygon(points, size) {
  return `M${points.map(([x, y]) => `${(x * size).toFixed(2)},${(y * size).toFixed(2)}`).join("L")}Z`;
}

function plus(r) {
  const a = r * 0.36;
  return [[-a, -r], [a, -r], [a, -a], [r, -a], [r, a], [a, a], [a, r], [-a, r], [-a, a], [-r, a], [-r, -a], [-a, -a]];
}

const colourOf = (index) => `var(--arm-${index % NUM_COLOURS})`;
const dashOf = (index) => DASHES[index % DASHES.length];

/** The marker of the arm with this index. */
function marker(index, x, y, r = 4.5, attributes = {}) {
  const shape = MARKERS[index % MARKERS.length](r);
  const transform = `translate(${x},${y})`;
  return svg("path", { class: "mark", d: shape, transform, "--c": colourOf(index), ...attributes });
}

/** Line and marker of an arm, for legends. */
function swatch(index) {
  return svg("svg", { class: "swatch", width: 34, height: 14, viewBox: "0 0 34 14", "aria-hidden": "true" },
    svg("line", {
      class: "curve", x1: 1, x2: 33, y1: 7, y2: 7, "--c": colourOf(index), "stroke-dasharray": dashOf(index),
    }),
    marker(index, 17, 7, 4));
}

/** A linear scale from `domain` to `range` in pixels. */
function scale([low, high], [start, end]) {
  const factor = high === low ? 0 : (end - start) / (high - low);
  return Object.assign((value) => start + (value - low) * factor, { low, high, start, end });
}

/** Round numbers within the bounds, about `count` of them. */
function ticks(low, high, count) {
  if (high <= low) return [low];
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((candidate) => candidate >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) found.push(k * step);
  return found;
}

/** The bounds of the values with some padding; never of zero width. */
function bounds(values, padding = 0.06) {
  const found = values.filter(isNumber);
  if (!found.length) return [0, 1];
  const low = found.reduce((a, b) => Math.min(a, b));
  const high = found.reduce((a, b) => Math.max(a, b));
  const spread = high - low || Math.abs(high) * 0.1 || 1;
  return [low - spread * padding, high + spread * padding];
}

/** Labels of ticks, with the digits that their spacing needs. */
function tickText(values) {
  const step = values.length > 1 ? values[1] - values[0] : Math.abs(values[0]) || 1;
  const highest = Math.max(...values.map(Math.abs));
  const unit = [[1e9, " G"], [1e6, " M"], [1e4, " k"]].find(([size]) => highest >= size) ?? [1, ""];
  const size = unit[1] === " k" ? 1e3 : unit[0];
  const digits = Math.min(6, Math.max(0, -Math.floor(Math.log10(step / size) + 1e-9)));
  return values.map((value) => minus((value / size).toFixed(digits)) + (Math.abs(value) > 1e-12 ? unit[1] : ""));
}

/** Horizontal grid lines with their numbers on the left. */
function axisLeft(y, left, right, count) {
  const places = ticks(Math.min(y.low, y.high), Math.max(y.low, y.high), count);
  const labels = tickText(places);
  return svg("g", { class: "axis" }, places.map((value, i) => [
    svg("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
    svg("text", { x: left - 7, y: y(value), dy: "0.32em", "text-anchor": "end" }, labels[i]),
  ]));
}

/** A line below with numbers and a title. */
function axisBelow(x, bottom, count, title, { grid = null } = {}) {
  const places = ticks(x.low, x.high, count);
  const labels = tickText(places);
  return svg("g", { class: "axis" },
    svg("line", { class: "base", x1: x.start, x2: x.end, y1: bottom, y2: bottom }),
    places.map((value, i) => [
      grid === null ? null : svg("line", { class: "grid", x1: x(value), x2: x(value), y1: grid, y2: bottom }),
      svg("line", { class: "base", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 4 }),
      svg("text", { x: x(value), y: bottom + 17, "text-anchor": "middle" }, labels[i]),
    ]),
    svg("text", { class: "title", x: x.end, y: bottom + 34, "text-anchor": "end" }, title));
}

/** Text truncated to a width in pixels, complete in its tooltip. */
function clipped(text, width, attributes) {
  const maxLetters = Math.max(4, Math.floor(width / 6.6));
  const short = text.length > maxLetters ? `${text.slice(0, maxLetters - 1)}…` : text;
  return svg("text", attributes, short, short === text ? null : svg("title", {}, text));
}
