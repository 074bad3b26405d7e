// An effect as a small forest plot: zero line, shaded equivalence zone, interval and estimate.

/** The half-width of a symmetric scale that fits all effects: a round number. */
function reachOf(effects) {
  const sizes = effects.flatMap(({ estimate, low, high, margin }) => [estimate, low, high, margin])
    .filter(isNumber).map(Math.abs);
  const wanted = (sizes.length ? Math.max(...sizes) : 0) * 1.05 || 1;
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((k) => k * power).find((reach) => reach >= wanted);
}

/** Estimate, interval and zone in words. */
function effectInWords({ name, measure, estimate, low, high, margin }) {
  const zone = isNumber(margin) ? `; differences within ${num(margin)} do not matter` : "";
  return `${measure}, ${name}: ${withInterval(estimate, low, high, { sign: true })}${zone}`;
}

function forest(effect, reach = reachOf([effect]), width = 176) {
  const height = 36;
  const x = scale([-reach, reach], [8, width - 8]);
  const middle = 11;
  const { estimate, low, high, margin } = effect;
  const root = canvasOf(width, height, effectInWords(effect));
  root.classList.add("forest");
  if (isNumber(margin)) {
    const zone = Math.max(2, x(margin) - x(-margin));
    root.append(svg("rect", { class: "zone", x: x(0) - zone / 2, width: zone, y: 1, height: 20 }),
      svg("path", { class: "zone-edge", d: `M${x(0) - zone / 2},1v20M${x(0) + zone / 2},1v20` }));
  }
  root.append(
    svg("line", { class: "base", x1: x.start, x2: x.end, y1: 21.5, y2: 21.5 }),
    svg("line", { class: "zero", x1: x(0), x2: x(0), y1: 1, y2: 25 }));
  if (isNumber(low) && isNumber(high)) {
    root.append(svg("path", {
      class: "interval",
      d: `M${x(low)},${middle}H${x(high)}M${x(low)},${middle - 4}v8M${x(high)},${middle - 4}v8`,
    }));
  }
  if (isNumber(estimate)) {
    const transform = `translate(${x(estimate)},${middle})`;
    root.append(svg("path", { class: "estimate", d: MARKERS[3](4.2), transform }));
  }
  const end = String(Number(reach.toPrecision(2))).replace("e-", "e−");
  const labels = [[x.start - 6, "start", `−${end}`], [x(0), "middle", "0"], [x.end + 6, "end", `+${end}`]];
  root.append(svg("g", { class: "axis" },
    labels.map(([place, anchor, text]) => svg("text", { x: place, y: 34, "text-anchor": anchor }, text))));
  return root;
}
