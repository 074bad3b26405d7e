// All contrasts in one forest plot. Each is drawn in units of its own margin, so that different measures share an axis.

const FOREST_REACH = 6; // margins; longer intervals end in an arrow

const NARROW = 780; // pixels; below, labels stand above their lines

/** The contrasts that have an estimate with an interval and a margin, each with the id of its part. */
function forestRows(claims) {
  return claims.flatMap(({ parts }) => parts.flatMap((part) => part.contrasts
    .filter(({ figure }) => figure && [figure.mean, figure.low, figure.high].every(isNumber))
    .map((contrast) => ({ part, contrast }))));
}

const forestRow = (width) => (width < NARROW ? 58 : 30);
const forestHeight = (width, rows) => rows.length * forestRow(width) + 62;

/** With enough digits that rounding moves no end of the interval to zero or to the margin. */
function contrastNumbers({ figure, unit, margin = 0 }) {
  if (!figure) return "–";
  const close = [figure.low, figure.high].some((end) => [0, margin].some((bound) => Math.abs(Math.abs(end) - bound) < 5e-4));
  return `${withInterval(figure.mean, figure.low, figure.high, { sign: true, least: close ? 4 : 3 })} ${unit}`;
}

function drawForest(width, rows) {
  const narrow = width < NARROW;
  const height = forestHeight(width, rows);
  const [left, right] = narrow ? [12, width - 12] : [width * 0.34, width * 0.66];
  const bottom = height - 48;
  const x = scale([-FOREST_REACH, FOREST_REACH], [left, right]);
  const root = canvasOf(width, height, "Differences in the direction of the claims, in units of their margins, with "
    + "uncorrected 95 % intervals");
  root.append(axisBelow(x, bottom, 6, "difference in margins", {}));
  rows.forEach(({ part, contrast }, i) => {
    const { margin, kind, name, word, figure: { mean: estimate, low, high } } = contrast;
    const y = 4 + i * forestRow(width) + (narrow ? 44 : forestRow(width) / 2);
    const label = `${part.id}  ${name}`;
    const row = svg("g", { class: `contrast ${wordClass(word)}`, "data-part": part.id },
      svg("title", {}, `${label}: ${contrastNumbers(contrast)}, ${word}`));
    if (narrow) {
      row.append(clipped(label, width - 4, { class: "name", x: 2, y: y - 30 }),
        clipped(`${contrastNumbers(contrast)}, ${word}`, width - 4, { class: "figures", x: 2, y: y - 15 }));
    } else {
      row.append(clipped(label, left - 16, { class: "name", x: left - 12, y, dy: "0.32em", "text-anchor": "end" }),
        clipped(`${contrastNumbers(contrast)}, ${word}`, width - right - 14,
          { class: "figures", x: right + 12, y, dy: "0.32em" }));
    }
    const half = narrow ? 10 : forestRow(width) / 2;
    row.append(svg("rect", { class: "zone", x: x(-1), width: x(1) - x(-1), y: y - half, height: 2 * half }),
      svg("line", { class: "zero", x1: x(0), x2: x(0), y1: y - half, y2: y + half }));
    const within = (value) => Math.max(-FOREST_REACH, Math.min(FOREST_REACH, value / margin));
    const needed = x(kind === "S" ? 1 : -1);
    row.append(svg("path", { class: "needed", d: `M${needed},${y - 9}V${y + 9}` }),
      svg("path", { class: "interval", d: `M${x(within(low))},${y}H${x(within(high))}` }));
    for (const [value, side] of [[low, 1], [high, -1]]) {
      const end = x(within(value));
      const arrow = `M${end + 5 * side},${y - 4}L${end},${y}L${end + 5 * side},${y + 4}`;
      const bar = `M${end},${y - 4}V${y + 4}`;
      row.append(svg("path", { class: "interval", d: Math.abs(value / margin) > FOREST_REACH ? arrow : bar }));
    }
    const shape = MARKERS[word === "supported" ? 0 : word === "refuted" ? 1 : 3](4.4);
    row.append(svg("path", { class: "estimate", d: shape, transform: `translate(${x(within(estimate))},${y})` }));
    root.append(row);
  });
  return root;
}
