// One comparison: the question, curves with their legend, final scores, cost, and all numbers in a table.

const comparisonSlug = (id) => `comparison-${slug(id)}`;

function fillComparisons(body, comparisons, trials) {
  if (!comparisons.length) body.append(emptyNote("No comparison has been started yet."));
  for (const comparison of comparisons) body.append(comparisonPart(comparison, trials));
}

function comparisonPart(comparison, trials) {
  const id = comparisonSlug(comparison.id);
  const done = comparison.arms.reduce((sum, arm) => sum + arm.seeds.length, 0);
  const planned = comparison.arms.reduce((sum, arm) => sum + arm.planned, 0);
  const failed = comparison.arms.reduce((sum, arm) => sum + arm.failed, 0);
  const trial = trials.find((one) => one.judged && one.data === comparison.data && one.scale === comparison.scale
    && one.variant === comparison.variant);
  const parts = (trial?.claims ?? []).flatMap((claim) => claim.parts)
    .filter(({ experiment }) => experiment === comparison.experiment);
  const title = el("span", { class: "heading" }, el("strong", { class: "title" }, comparison.title),
    el("small", {}, ` ${comparison.data}, scale ${comparison.scale}, `
      + (data.made.record ? plural(done, "run") : `${done} of ${plural(planned, "run")} done`)
      + `${failed ? `, ${failed} failed` : ""}`), comparison.question ? el("span", { class: "asked" }, comparison.question) : null);
  const words = parts.map((part) => [" ", el("span", { class: "tested" }, part.id, " ", verdictSign(part.word))]);
  const inside = [
    parts.length ? el("p", { class: "facts" }, "Tested here: ", parts.map((part, i) => [i ? " · " : "",
      el("a", { href: `#${partId(trial, part)}` }, part.id), " ", verdictSign(part.word)])) : null,
    comparison.command ? copyable(comparison.command) : null,
    comparison.arms.length === 1 && parts.length ? el("p", {}, "One kind of network; what is compared is how it predicts. "
      + "The results are in the questions above; here is the training.") : null,
    sameImages(comparison) ? null : el("p", { class: "note" }, "The arms have different seeds or held-out images, so their "
      + "means here are not comparable. ", parts.length ? "The questions above compare equal seeds and images." : ""),
    ...(comparison.metrics.length ? comparisonCharts(comparison, id)
      : [emptyNote("No runs yet: curves and scores appear with the first validation.")]),
  ];
  const node = unfolding(id, [title, words], ...inside);
  node.classList.add("comparison");
  node.dataset.id = comparison.id;
  return node;
}

/** Whether all arms with results have the same seeds and held-out images. */
function sameImages({ arms }) {
  const begun = arms.filter(({ seeds }) => seeds.length);
  return new Set(begun.map(({ seeds, images }) => JSON.stringify([seeds.toSorted(), Object.keys(images)]))).size < 2;
}

function comparisonCharts(comparison, id) {
  const { metrics } = comparison;
  const arms = comparison.arms.map((arm, index) => ({ ...arm, index }));
  const key = (name) => `${name} ${comparison.id}`;
  const view = {
    metric: metrics.find((metric) => metric.key === choices.read(key("metric"))) ?? metrics[0],
    hidden: new Set(choices.read(key("hidden"), [])),
    seeds: choices.read(key("seeds"), false),
    cost: choices.read(key("cost"), COSTS[0][0]),
    step: null,
    focus: null,
  };
  const shown = () => arms.filter(({ name }) => !view.hidden.has(name));
  let steps = [];

  const curves = chartBox("curves", (width) => drawCurves(width, {
    metric: view.metric, arms: shown(), seeds: view.seeds, focus: view.focus, cursor: view.step, point: moveNear,
  }), () => CURVES_HEIGHT);
  const scores = chartBox("scores", (width) => drawScores(width, { metric: view.metric, arms: shown() }),
    (width) => scoresHeight(width, shown()));
  const costly = COSTS.some(([, , costOf]) => new Set(arms.map(costOf).filter(isNumber)).size > 1);
  const cost = costly ? chartBox("cost", (width) => drawCost(width, { metric: view.metric, arms: shown(), cost: view.cost }),
    () => COST_HEIGHT) : null;
  const keys = [...new Set(arms.flatMap((arm) => Object.keys(arm.images)))]
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const images = arms.length > 1 && keys.length ? chartBox("images", (width) =>
    drawImages(width, { arms: shown(), base: arms[0], images: keys }), () => IMAGES_HEIGHT) : null;

  // The legend names the arms, toggles them, and shows their values at the cursor.
  const readings = arms.map(() => el("span", { class: "reading" }));
  const buttons = arms.map((arm) => el("button", {
    type: "button", id: `${id}-arm-${arm.index}`, "data-arm": arm.name,
    on: {
      click: () => show(arms.map(({ name }) => name).filter((name) => view.hidden.has(name) !== (name === arm.name))),
      pointerenter: () => focusOn(arm.name), pointerleave: () => focusOn(null),
      focus: () => focusOn(arm.name), blur: () => focusOn(null),
    },
  }, swatch(arm.index), el("span", {}, arm.name)));
  const at = el("span", { class: "at" });
  const slider = el("input", { type: "range", id: `${id}-step`, min: 0, step: 1, "aria-label": "Step of the cursor",
    on: { input: () => moveTo(steps[slider.valueAsNumber]) } });
  const legend = el("div", { class: "legend" },
    el("div", { class: "legend-head" }, at, el("span", { class: "quiet" }, "median [band]")),
    el("ul", {}, buttons.map((button, i) => el("li", {}, button, readings[i]))),
    arms.length > 2 ? el("p", { class: "pair" },
      el("button", { type: "button", class: "plain", on: { click: () => show([]) } }, "Show all"),
      el("button", { type: "button", class: "plain", on: { click: () => show(arms.map(({ name }) => name)) } },
        "Hide all")) : null);

  function show(hidden) {
    view.hidden = new Set(hidden);
    choices.write(key("hidden"), [...view.hidden]);
    update();
  }

  function focusOn(name) {
    if (view.focus === name || (name !== null && view.hidden.has(name))) return;
    view.focus = name;
    refresh(curves);
  }

  function moveNear(wanted) {
    const away = (step) => Math.abs(step - wanted);
    if (steps.length) moveTo(steps.reduce((best, step) => (away(step) < away(best) ? step : best)));
  }

  function moveTo(step) {
    view.step = step;
    slider.value = steps.indexOf(step);
    slider.setAttribute("aria-valuetext", `step ${step}`);
    at.textContent = `at step ${step}`;
    arms.forEach((arm, i) => {
      const point = summarise(arm.curves[view.metric.key]).find((candidate) => candidate.step === step);
      const [low, high] = point && point.low < point.high ? [point.low, point.high] : []; // one seed has no band
      const text = point ? withInterval(point.median, low, high) : "–";
      readings[i].textContent = view.hidden.has(arm.name) ? "" : text;
    });
    curves.querySelector("svg")?.moveCursor?.(step);
  }

  function update() {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(!view.hidden.has(arms[i].name))));
    const all = shown().flatMap((arm) => arm.curves[view.metric.key]?.steps ?? []);
    steps = [...new Set(all)].sort((a, b) => a - b);
    slider.max = Math.max(0, steps.length - 1);
    slider.disabled = steps.length < 2;
    for (const chart of [curves, scores, cost, images]) if (chart) refresh(chart);
    explained.textContent = `${view.metric.key}: ${view.metric.name}.` + (view.metric.key === "iou" ? " In the curves the "
      + "threshold is chosen on a few training images, in final scores on all of them, so they can differ slightly." : "");
    if (!steps.length) at.textContent = "";
    else if (steps.includes(view.step)) moveTo(view.step);
    else moveTo(steps.at(-1));
  }

  const explained = el("p", { class: "quiet" });
  const named = metrics.map((metric) => [metric.key, metric.key]);
  const chooseMetric = dropdown(`${id}-metric`, "Metric", named, view.metric.key, (value) => {
    view.metric = metrics.find((metric) => metric.key === value);
    choices.write(key("metric"), value);
    update();
  });
  const chooseSeeds = el("label", { class: "check" }, el("input", {
    type: "checkbox", id: `${id}-seeds`, checked: view.seeds, on: { change: (event) => {
      view.seeds = event.target.checked;
      choices.write(key("seeds"), view.seeds);
      refresh(curves);
    } },
  }), "single seeds");
  const chooseCost = dropdown(`${id}-cost`, "Cost", COSTS.map(([name, title]) => [name, title]), view.cost, (value) => {
    view.cost = value;
    choices.write(key("cost"), value);
    refresh(cost);
  });
  const many = arms.length > MAX_BANDS ? " Point at an arm in the legend to see its band." : "";
  update();
  return [
    el("div", { class: "controls" }, chooseMetric, chooseSeeds), explained,
    el("div", { class: "curves" },
      el("div", {}, el("h4", {}, "Learning curves"),
        el("p", { class: "quiet" }, "Line: median over seeds. Band: middle half of eight or more seeds, else lowest to "
          + `highest.${many}`), curves, slider),
      legend),
    el("div", { class: "pair-of-charts" },
      el("div", {}, el("div", { class: "titled" }, el("h4", {}, "Final scores")),
        el("p", { class: "quiet" }, "One point per seed; below them their mean with its 95 % interval."), scores),
      el("div", {}, el("div", { class: "titled" }, el("h4", {}, "Score against cost"), costly ? chooseCost : null),
        ...(costly ? [el("p", { class: "quiet" }, "Means over seeds with their 95 % intervals."), cost]
          : [el("p", { class: "quiet" }, "All arms train with the same number of operations and pixels.")]))),
    images ? el("div", {}, el("h4", {}, "Effect on each image"),
      el("p", { class: "quiet" }, "IoU of each held-out image minus that of the first arm; means over the "
        + "seeds that hold it out."), images) : null,
    unfolding(`${id}-numbers`, "All numbers", numbersTable(comparison)),
    unfolding(`${id}-settings`, "Settings of the runs", settingsOf(comparison, id)),
  ];
}

function numbersTable({ title, arms, metrics }) {
  const head = ["Arm", data.made.record ? "Seeds" : "Seeds done", ...metrics.map(({ key }) => key), "Operations, 1e12",
    "Input pixels", "Output pixels", "Tiles per step", "Steps"];
  const rows = arms.map((arm) => [
    arm.name, data.made.record ? String(arm.seeds.length) : `${arm.seeds.length} of ${arm.planned}`,
    ...metrics.map((metric) => {
      const final = finalOf(arm, metric);
      return final ? withInterval(final.mean, final.low, final.high) : "–";
    }),
    num(arm.tflop), big(arm.pixels_in || null), big(arm.pixels_out || null), arm.tiles || "–",
    arm.steps ? String(arm.steps) : "–",
  ]);
  return [
    dataTable(`Numbers of ${title}`, head, rows, { numeric: [...head.keys()].slice(1) }),
    el("dl", { class: "names" }, metrics.flatMap(({ key, name }) => [el("dt", {}, key), el("dd", {}, name)])),
  ];
}

/** The complete settings of the first arm, the differences of the others, and every run with its seed. */
function settingsOf({ arms }, id) {
  return arms.map((arm, at) => el("div", { class: "settings", id: `${id}-settings-${at}` },
    el("h4", {}, arm.name),
    el("p", { class: "runs" }, arm.runs.map(({ seed, id: run, href }, i) => [i ? ", " : "",
      `seed ${seed} `, href ? el("a", { href }, run) : el("code", {}, run)])),
    arm.settings ? el("pre", { tabindex: 0 }, el("code", {}, arm.settings)) : emptyNote("No finished run yet.")));
}
