// Supplementary sections: weight maps, seed runs with their reference, deviations, environment.

function fillWeightMaps(body, maps) {
  if (!maps.length) {
    body.append(emptyNote("No weight maps yet: they are drawn from the first evaluated run."));
    return;
  }
  body.append(el("p", { class: "quiet" }, "How much each pixel counts in the training loss, on one logarithmic colour scale from dark "
    + "purple (a hundredth of the largest weight, or less) to yellow (the largest). The paper's map balances cells and membrane, and stresses the borders between cells."),
  el("div", { class: "maps" }, maps.map(({ name, image, note }) => el("figure", {},
    el("img", { src: image, alt: `Weight map ${name}; ${note}` }),
    el("figcaption", {}, el("strong", {}, name), el("span", { class: "quiet" }, note))))));
}

const seedRow = (width) => (width < 560 ? 54 : 40); // narrow: names are above their rows
const seedRunsHeight = (width, rows) => rows.length * seedRow(width) + 56;

/** A row for each arm: reference, ours in the reference's stepped metric, ours in plain IoU. */
function drawSeedRuns(width, rows) {
  const height = seedRunsHeight(width, rows);
  const bottom = height - 46;
  const narrow = width < 560;
  const longest = Math.max(...rows.map(({ arm }) => arm.length));
  const left = narrow ? 8 : Math.min(width * 0.36, 24 + 6.8 * longest);
  const all = rows.flatMap((row) =>
    [row.reference, row.stepped, row.stepped_low, row.stepped_high, row.iou, row.low, row.high]);
  const x = scale(bounds(all), [left + 8, width - 14]);
  const root = canvasOf(width, height, "Scores of the seed runs: reference, and ours in its metric and in plain IoU");
  root.append(axisBelow(x, bottom, (width - left) / 90, "score", { grid: 4 }));
  rows.forEach((row, i) => {
    const y = 6 + i * seedRow(width) + (narrow ? 34 : seedRow(width) / 2);
    const name = narrow ? { x: 2, y: y - 19 } : { x: left - 6, y, dy: "0.32em", "text-anchor": "end" };
    root.append(clipped(row.arm, narrow ? width : left - 12, { class: "name", ...name }));
    const span = (low, high, at) => {
      if (!isNumber(low) || !isNumber(high)) return "";
      const path = `M${x(low)},${at}H${x(high)}M${x(low)},${at - 3}v6M${x(high)},${at - 3}v6`;
      return svg("path", { class: "interval", d: path });
    };
    root.append(span(row.stepped_low, row.stepped_high, y - 4), span(row.low, row.high, y + 8));
    if (isNumber(row.reference)) root.append(seedMark("reference", x(row.reference), y - 4));
    if (isNumber(row.stepped)) root.append(seedMark("stepped", x(row.stepped), y - 4));
    if (isNumber(row.iou)) root.append(seedMark("plain", x(row.iou), y + 8));
  });
  return root;
}

/** Reference: hollow diamond; ours: disc in the reference's metric, square in plain IoU. */
function seedMark(kind, x, y) {
  const shape = { reference: MARKERS[3](5.5), stepped: MARKERS[0](4.5), plain: MARKERS[1](4) }[kind];
  return svg("path", { class: `seed-mark ${kind}`, d: shape, transform: `translate(${x},${y})` });
}

function fillSeedRuns(body, rows) {
  if (!rows.length) {
    body.append(emptyNote("No seed runs yet: they have not been started."));
    return;
  }
  const kinds = [["reference", "reference"], ["stepped", "ours, in the reference's stepped metric"],
    ["plain", "ours, plain mean IoU"]];
  const head = ["Run", "Data", "Reference", "Ours, its metric", "Ours, plain IoU", "Seeds", "Remark"];
  const lines = rows.map((row) => [
    row.arm, row.data || "–", num(row.reference), withInterval(row.stepped, row.stepped_low, row.stepped_high),
    withInterval(row.iou, row.low, row.high), `${row.seeds} of ${row.planned}`, row.remark || "",
  ]);
  body.append(
    el("ul", { class: "colours", "aria-label": "Marks" }, kinds.map(([kind, words]) => el("li", {},
      svg("svg", { width: 18, height: 16, viewBox: "-9 -8 18 16", "aria-hidden": "true" }, seedMark(kind, 0, 0)),
      words))),
    chartBox("seed-runs", (width) => drawSeedRuns(width, rows), (width) => seedRunsHeight(width, rows)),
    dataTable("Seed runs beside their reference", head, lines, { numeric: [2, 3, 4, 5] }));
}

const KINDS = [["paper", "as in the paper"], ["assumed", "assumed: not in the paper"], ["deviation", "deviation"]];

function fillDeviations(body, deviations) {
  if (!deviations.length) {
    body.append(emptyNote("No settings are marked."));
    return;
  }
  const chosen = new Set(choices.read("kinds", KINDS.map(([kind]) => kind)));
  const found = el("p", { class: "quiet", role: "status" });
  const table = el("div");
  const update = () => {
    const rows = deviations.filter(({ kind }) => chosen.has(kind) || !KINDS.some(([known]) => known === kind));
    found.textContent = `${rows.length} of ${plural(deviations.length, "marked setting")} shown`;
    table.replaceChildren(dataTable("Marked settings", ["Setting", "Value", "Kind", "Comment"],
      rows.map(({ kind, where, value, text }) => [el("code", {}, where), el("code", {}, value), kind, text]),
      { tall: true }));
  };
  body.append(el("p", {}, "All marked settings of the files in conf/, whether or not a run of this page uses them. What a run "
    + "used is under “Settings of the runs” of its comparison."),
  el("fieldset", { class: "radios" }, el("legend", {}, "Kind"), KINDS.map(([kind, words]) => el("label", {},
    el("input", { type: "checkbox", id: `kind-${kind}`, checked: chosen.has(kind), on: { change: (event) => {
      if (event.target.checked) chosen.add(kind);
      else chosen.delete(kind);
      choices.write("kinds", [...chosen]);
      update();
    } } }),
    el("span", {}, `${words} (${deviations.filter((row) => row.kind === kind).length})`)))), found, table);
  update();
}

function fillEnvironment(body, { environment, data }) {
  body.append(el("h3", {}, "Environment"), environment.length
    ? el("dl", { class: "facts-list" },
      environment.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]))
    : emptyNote("No finished run yet."));
  body.append(el("h3", {}, "Data"), data.length
    ? dataTable("Data", ["Data", "Training images", "Held-out images", "Digest", "Credit"], data.map((row) =>
      [row.name, String(row.train), String(row.val), el("code", { class: "digest" }, row.digest), row.credit]),
    { numeric: [1, 2] })
    : emptyNote("No data have been read yet."));
}
