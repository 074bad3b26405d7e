// Learning curves: the median over seeds as a line, the middle half or the range of the seeds as a band, and a cursor.

const MAX_BANDS = 3; // with more arms, only the band of the arm in focus is drawn

/** A quantile of sorted values, by linear interpolation. */
function quantile(sorted, share) {
  const at = (sorted.length - 1) * share;
  const below = Math.floor(at);
  return sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}

/** Median and band at each step, over the seeds that have reached it: quartiles of eight or more, else the range. */
function summarise(curve) {
  if (!curve) return [];
  return curve.steps.map((step, at) => {
    const values = curve.values.map((seed) => seed[at]).filter(isNumber).sort((a, b) => a - b);
    if (!values.length) return null;
    const [low, high] = values.length >= 8 ? [0.25, 0.75] : [0, 1];
    return { step, median: median(values), low: quantile(values, low), high: quantile(values, high) };
  }).filter((point) => point !== null);
}

const lineThrough = (points, x, y) =>
  points.map(([at, value], i) => `${i ? "L" : "M"}${x(at).toFixed(1)},${y(value).toFixed(1)}`).join("");

const CURVES_HEIGHT = 330;
const CURVES_MARGIN = { top: 26, right: 14, bottom: 46, left: 52 };

/**
 * The chart of one metric.
 *
 * `view` has the choices: `metric`, `arms` (those shown, each with its `index`), `seeds` (whether to draw single seeds),
 * `focus` (the name of an arm, or null) and `cursor` (a step). The SVG gets a `moveCursor(step)`, and calls `view.point(step)` as the pointer moves.
 */
function drawCurves(width, view) {
  const { metric, arms, seeds, focus } = view;
  const { top, right, bottom, left } = CURVES_MARGIN;
  const lines = arms.map((arm) => ({ ...arm, points: summarise(arm.curves[metric.key]) }))
    .filter(({ points }) => points.length);
  if (!lines.length) return emptyNote(arms.length ? "Not measured during training, or no validation yet." : "No arm is shown.");
  const points = lines.flatMap((line) => line.points);
  const x = scale([0, Math.max(...points.map(({ step }) => step))], [left, width - right]);
  const y = scale(bounds(points.flatMap(({ low, high }) => [low, high])), [CURVES_HEIGHT - bottom, top]);
  const names = lines.map(({ name }) => name).join("; ");
  const root = canvasOf(width, CURVES_HEIGHT, `Learning curves, ${metric.name}, by step: ${names}`);
  root.append(axisLeft(y, left, width - right, 6), axisBelow(x, CURVES_HEIGHT - bottom, width / 110, "step"),
    svg("text", { class: "axis-title", x: 4, y: 13 }, `${metric.key}, ${metric.up ? "higher" : "lower"} is better`));
  const drawsBand = ({ name }) => (lines.some((line) => line.name === focus) ? name === focus : lines.length <= MAX_BANDS);
  for (const { points: found, index } of lines.filter(drawsBand)) {
    const [above, below] = ["high", "low"].map((edge) => found.map((point) => [point.step, point[edge]]));
    const outline = lineThrough([...above, ...[...below].reverse()], x, y);
    root.append(svg("path", { class: "band", d: `${outline}Z`, "--c": colourOf(index) }),
      ...[above, below].map((edge) => svg("path", { class: "edge", d: lineThrough(edge, x, y), "--c": colourOf(index) })));
  }
  if (seeds) {
    for (const { curves, index } of lines) {
      const { steps, values } = curves[metric.key];
      for (const seed of values) {
        const kept = steps.map((step, at) => [step, seed[at]]).filter(([, value]) => isNumber(value));
        root.append(svg("path", { class: "seed", d: lineThrough(kept, x, y), "--c": colourOf(index) }));
      }
    }
  }
  for (const { points: found, index, name } of lines) {
    root.append(svg("path", {
      class: focus && name !== focus ? "curve faint" : "curve", "data-arm": name, d: lineThrough(found.map((p) => [p.step, p.median]), x, y),
      "--c": colourOf(index), "stroke-dasharray": dashOf(index),
    }));
    const last = found.at(-1);
    root.append(marker(index, x(last.step), y(last.median), 4));
  }
  const cursor = svg("g", { class: "cursor" });
  root.append(cursor);
  root.moveCursor = (step) => {
    cursor.replaceChildren(svg("line", { x1: x(step), x2: x(step), y1: top, y2: CURVES_HEIGHT - bottom }),
      ...lines.map(({ points: found, index }) => {
        const point = found.find((candidate) => candidate.step === step);
        return point ? marker(index, x(step), y(point.median), 4) : "";
      }));
  };
  root.addEventListener("pointermove", (event) => {
    const box = root.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * width;
    view.point(x.low + ((at - x.start) / (x.end - x.start)) * (x.high - x.low));
  });
  if (isNumber(view.cursor)) root.moveCursor(view.cursor);
  return root;
}
