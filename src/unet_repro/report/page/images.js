// Effects per image: the IoU of each arm minus that of the first arm, for every held-out image, as a mean over seeds.

const IMAGES_HEIGHT = 280;

function drawImages(width, { arms, base, images }) {
  const found = arms.filter((arm) => arm.name !== base.name && Object.keys(arm.images).length);
  if (!found.length) return emptyNote(arms.length ? "No other arm with evaluated images is shown." : "No arm is shown.");
  const [top, right, bottom, left] = [26, 14, IMAGES_HEIGHT - 46, 52];
  const x = scale([-0.5, images.length - 0.5], [left, width - right]);
  const effects = found.map((arm) => images.map((key) =>
    (isNumber(arm.images[key]) && isNumber(base.images[key]) ? arm.images[key] - base.images[key] : null)));
  const y = scale(bounds([0, ...effects.flat()]), [bottom, top]);
  const root = canvasOf(width, IMAGES_HEIGHT, `Difference in IoU from ${base.name}, by held-out image`);
  root.append(axisLeft(y, left, width - right, 5),
    svg("line", { class: "zero", x1: left, x2: width - right, y1: y(0), y2: y(0) }),
    svg("text", { class: "axis-title", x: 4, y: 13 }, `IoU minus that of ${base.name}`),
    svg("text", { class: "axis-title", x: width - right, y: IMAGES_HEIGHT - 8, "text-anchor": "end" }, "held-out image"));
  const every = Math.ceil(images.length / Math.max(1, (width - left) / 34));
  root.append(svg("g", { class: "axis" }, images.map((key, i) => (i % every ? null
    : svg("text", { x: x(i), y: bottom + 17, "text-anchor": "middle" }, key)))));
  found.forEach((arm, k) => effects[k].forEach((effect, i) => {
    if (!isNumber(effect)) return;
    const shift = ((k + 0.5) / found.length - 0.5) * Math.min(0.7 * (x(1) - x(0)), 10 * found.length);
    const mark = marker(arm.index, x(i) + shift, y(effect), 3.6, { "data-arm": arm.name });
    mark.append(svg("title", {}, `${arm.name}, image ${images[i]}: ${signed(effect)}`));
    root.append(mark);
  }));
  return root;
}
