// Final scores, one point per seed; and their cost.

const ROW = 34;
// Seconds are not among them: they depend on the machine, the launcher and what else was running.
const COSTS = [
  ["tflop", "operations of the training, 1e12", (arm) => arm.tflop],
  ["pixels_in", "input pixels of the training", (arm) => arm.pixels_in || null],
  ["pixels_out", "output pixels of the training", (arm) => arm.pixels_out || null],
];

const finalOf = (arm, metric) => arm.final?.[metric.key] ?? null;

const scoresHeight = (width, arms) => arms.length * (width < 480 ? ROW + 20 : ROW) + 62;

/** One row for each arm: its seeds, their mean and its interval. */
function drawScores(width, { metric, arms }) {
  const found = arms.filter((arm) => finalOf(arm, metric)?.values.length);
  if (!found.length) return emptyNote(arms.length ? "No finished run yet." : "No arm is shown.");
  const narrow = width < 480; // names above their rows instead of beside them
  const row = narrow ? ROW + 20 : ROW;
  const longest = Math.max(...found.map(({ name }) => name.length));
  const left = narrow ? 10 : Math.min(width * 0.32, 24 + 6.8 * longest);
  const height = found.length * row + 62;
  const bottom = height - 46;
  const all = found.map((arm) => finalOf(arm, metric)).flatMap(({ values, low, high }) => [...values, low, high]);
  const x = scale(bounds(all), [left + 8, width - 14]);
  const root = canvasOf(width, height, `Final ${metric.name} of each seed, with mean and 95 % interval by arm`);
  root.append(axisBelow(x, bottom, (width - left) / 90, metric.key, { grid: 8 }));
  found.forEach((arm, i) => {
    const { values, mean: centre, low, high } = finalOf(arm, metric);
    const y = 12 + i * row + (narrow ? 34 : row / 2);
    const name = narrow ? { x: 2, y: y - 21 } : { x: left - 6, y, dy: "0.32em", "text-anchor": "end" };
    const group = svg("g", { class: "score", "data-arm": arm.name },
      svg("title", {}, `${arm.name}: ${withInterval(centre, low, high)}`),
      clipped(arm.name, narrow ? width : left - 12, { class: "name", ...name }));
    if (isNumber(low) && isNumber(high)) {
      const path = `M${x(low)},${y + 6}H${x(high)}M${x(low)},${y + 2}v8M${x(high)},${y + 2}v8`;
      group.append(svg("path", { class: "interval", d: path }));
    }
    group.append(svg("line", { class: "mean", x1: x(centre), x2: x(centre), y1: y - 1, y2: y + 13 }),
      ...values.filter(isNumber).map((value) => marker(arm.index, x(value), y - 6, 4, { class: "mark point" })));
    root.append(group);
  });
  return root;
}

const COST_HEIGHT = 300;

/** The mean final score over its cost; names beside the points if there is space. */
function drawCost(width, { metric, arms, cost }) {
  const [, title, costOf] = COSTS.find(([key]) => key === cost) ?? COSTS[0];
  const found = arms.map((arm) => ({ arm, at: costOf(arm), score: finalOf(arm, metric) }))
    .filter(({ at, score }) => isNumber(at) && isNumber(score?.mean));
  if (!found.length) return emptyNote(arms.length ? "No finished run yet." : "No arm is shown.");
  const [top, right, bottom, left] = [26, 18, COST_HEIGHT - 46, 52];
  const x = scale([0, Math.max(...found.map(({ at }) => at)) * 1.08], [left, width - right]);
  const y = scale(bounds(found.flatMap(({ score }) => [score.mean, score.low, score.high]), 0.1), [bottom, top]);
  const root = canvasOf(width, COST_HEIGHT, `Final ${metric.name} over ${title}, by arm`);
  root.dataset.cost = cost;
  root.append(axisLeft(y, left, width - right, 5), axisBelow(x, bottom, width / 110, title),
    svg("text", { class: "axis-title", x: 4, y: 13 }, metric.key));
  const taken = found.flatMap(({ at, score: { mean: centre, low, high } }) => [
    [x(at) - 7, y(centre) - 7, x(at) + 7, y(centre) + 7], [x(at) - 2, y(high ?? centre), x(at) + 2, y(low ?? centre)],
  ]);
  for (const { arm, at, score } of found) {
    if (isNumber(score.low) && isNumber(score.high)) {
      const path = `M${x(at)},${y(score.low)}V${y(score.high)}`;
      root.append(svg("path", { class: "whisker", d: path, "--c": colourOf(arm.index) }));
    }
  }
  for (const { arm, at, score } of found) {
    const point = marker(arm.index, x(at), y(score.mean), 5.5, { "data-arm": arm.name });
    const interval = withInterval(score.mean, score.low, score.high);
    point.append(svg("title", {}, `${arm.name}: ${interval} at ${big(at)} (${title})`));
    root.append(point);
    const wide = arm.name.length * 6.6;
    const ends = [y(score.high ?? score.mean), y(score.low ?? score.mean)];
    const [place, far] = labelPlace(x(at), y(score.mean), ends, wide, taken, [left, top, width - 2, bottom]);
    if (far) root.append(svg("path", { class: "leader", d: `M${x(at)},${y(score.mean)}L${place[0] + wide / 2},${place[1] - 4}` }));
    root.append(svg("text", { class: "name", x: place[0], y: place[1] }, arm.name));
  }
  return root;
}

/** A free position for a label: beside its point if possible, else farther away, joined by a line. */
function labelPlace(x, y, [above, below], width, taken, [left, top, right, bottom]) {
  const beside = [[10, 4], [-width - 10, 4], [10, -10], [-width - 10, -10], [10, 18], [-width - 10, 18]];
  const atEnds = [above - y - 6, below - y + 13].flatMap((dy) => [-width / 2, 4 - width, -4].map((dx) => [dx, dy]));
  const rings = [36, 52, 68, 84, 100, 116, 132, 150].flatMap((radius) => Array.from({ length: 16 }, (_, k) => {
    const angle = (k * Math.PI) / 8;
    return [radius * Math.cos(angle) - width / 2, radius * Math.sin(angle)];
  }));
  const near = beside.length + atEnds.length;
  const candidates = [...beside, ...atEnds, ...rings].map(([dx, dy]) => [x + dx, y + dy]);
  const boxOf = ([px, py]) => [px, py - 11, px + width, py + 3];
  const free = ([boxLeft, boxTop, boxRight, boxBottom]) => boxLeft >= left && boxRight <= right && boxTop >= top - 8
    && boxBottom <= bottom && taken.every((other) =>
    boxRight < other[0] || boxLeft > other[2] || boxBottom < other[1] || boxTop > other[3]);
  let found = candidates.findIndex((place) => free(boxOf(place)));
  if (found < 0) { // no free place: above the axis, within the chart, over whatever is there
    candidates.push([Math.max(left, Math.min(x - width / 2, right - width)), bottom - 4]);
    found = candidates.length - 1;
  }
  taken.push(boxOf(candidates[found]));
  return [candidates[found], found >= near];
}
