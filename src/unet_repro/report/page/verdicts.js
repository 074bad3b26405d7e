// The verdict table: every claim with its verdict, scope and decisive effect; all details unfold.

// A shape and a word for each, so that colour is not the only cue.
const VERDICTS = {
  supported: { word: "supported", shape: "M8 1a7 7 0 1 0 .01 0Z", sign: "M4.6 8.3 7 10.7 11.4 5.6" },
  refuted: { word: "refuted", shape: "M2 2H14V14H2Z", sign: "M5.2 5.2 10.8 10.8M10.8 5.2 5.2 10.8" },
  inconclusive: { word: "inconclusive", shape: "M8 .5 15.5 8 8 15.5 .5 8Z", sign: "M4.8 8.6Q6.4 6.4 8 8T11.2 7.4" },
  pending: { word: "pending", shape: "M8 1a7 7 0 1 0 .01 0Z", sign: "M8 4.4V8.2L10.6 9.8" },
  refused: { word: "refused", shape: "M8 1 15.5 14.5H.5Z", sign: "M8 5.8V10M8 11.6V12.6" },
};

function verdictSign(verdict) {
  const { word, shape, sign } = VERDICTS[verdict] ?? VERDICTS.pending;
  return el("span", { class: `verdict ${word}` },
    svg("svg", { width: 16, height: 16, viewBox: "0 0 16 16", "aria-hidden": "true" },
      svg("path", { class: "shape", d: shape }), svg("path", { class: "sign", d: sign })),
    el("strong", {}, word));
}

const verdictId = (verdict) => `verdict-${slug(`${verdict.claim} ${verdict.comparison ?? verdict.label}`)}`;

/** The decisive primary effect: the strongest evidence of a refutation, else the weakest evidence of support. */
function decisive({ verdict, effects }) {
  const primary = effects.filter((effect) => effect.primary);
  const by = (key, sign) => primary.every((effect) => isNumber(effect[key]))
    ? [...primary].sort((a, b) => sign * (a[key] - b[key]))[0] : primary[0];
  return (verdict === "refuted" ? by("p_against", 1) : by("p_for", -1)) ?? null;
}

function fillVerdicts(body, verdicts, comparisons) {
  if (!verdicts.length) {
    body.append(emptyNote("No verdicts yet: no claim has finished runs."));
    return;
  }
  const counts = Object.keys(VERDICTS).map((word) => [word, verdicts.filter(({ verdict }) => verdict === word).length]);
  body.append(el("ul", { class: "tally", "aria-label": "Verdicts by kind" }, counts.filter(([, number]) => number)
    .map(([word, number]) => el("li", {}, verdictSign(word), el("span", { class: "count" }, ` ${number}`)))));
  const head = ["Claim", "Verdict and scope", "Decisive effect, 95 % interval", "Seeds", "Details"];
  // Explicit roles: on narrow windows rows are laid out as cards, and some browsers then drop the table semantics.
  const table = el("table", { class: "verdicts", role: "table" },
    el("caption", {}, "Every forest plot has its own scale: line at zero, diamond at the estimate, shaded within "
      + "the margin."),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" },
      head.map((title) => el("th", { scope: "col", role: "columnheader" }, title)))),
    el("tbody", { role: "rowgroup" }, verdicts.flatMap((verdict) => verdictRows(verdict, comparisons))));
  body.append(table);
}

function verdictRows(verdict, comparisons) {
  const id = verdictId(verdict);
  const hidden = el("tr", { class: "more", id: `${id}-more`, role: "row" },
    el("td", { colspan: 5, role: "cell" }, verdictDetails(verdict, comparisons)));
  const button = el("button", { type: "button", id: `${id}-button`, "aria-controls": hidden.id,
    "aria-label": `Details of ${verdict.claim}` }, el("span", {}, "Details"));
  const unfold = (open) => {
    button.setAttribute("aria-expanded", String(open));
    hidden.hidden = !open;
  };
  unfold(choices.read(`open ${id}`, false));
  button.addEventListener("click", () => {
    unfold(hidden.hidden);
    choices.write(`open ${id}`, !hidden.hidden);
  });
  addEventListener("beforeprint", () => unfold(true));
  addEventListener("afterprint", () => unfold(choices.read(`open ${id}`, false)));
  const cell = (title, ...content) => el("td", { role: "cell", "data-title": title }, content);
  const row = el("tr", { id, role: "row", "data-verdict": verdict.verdict },
    el("th", { scope: "row", role: "rowheader" },
      el("span", { class: "claim" }, verdict.claim), " ", verdict.statement),
    cell("Verdict", verdictSign(verdict.verdict), el("span", { class: "label" }, verdict.label)),
    cell("Decisive effect", decisiveCell(verdict)),
    cell("Seeds", seedsCell(verdict)),
    cell("", button));
  return [row, hidden];
}

function decisiveCell(verdict) {
  const effect = decisive(verdict);
  if (effect === null) return el("span", { class: "quiet" }, "not estimated yet");
  const others = verdict.effects.filter(({ primary }) => primary).length - 1;
  return el("div", { class: "effect" }, forest(effect),
    el("div", {},
      el("span", { class: "figure" }, withInterval(effect.estimate, effect.low, effect.high, { sign: true })),
      effect.unit && effect.unit !== effect.measure ? ` ${effect.unit}` : ""),
    el("div", { class: "quiet" }, `${effect.measure}: ${effect.name}`,
      others > 0 ? `; and ${plural(others, "more test")}` : ""));
}

function seedsCell({ verdict, seeds, seeds_needed: needed, images }) {
  const open = verdict === "inconclusive";
  const wanted = isNumber(needed) ? `about ${needed} needed` : "more seeds alone would not be enough";
  return [el("span", { class: "figure" }, String(seeds)),
    open ? el("span", { class: "quiet" }, `, ${wanted}`) : null,
    images ? el("span", { class: "quiet block" }, plural(images, "image")) : null];
}

function verdictDetails(verdict, comparisons) {
  const { guard, effects } = verdict;
  const fair = guard?.fair === true ? "Fair: the arms differ only in what the claim varies."
    : guard?.fair === false ? "Unfair: the verdict is refused." : "Not checked yet.";
  const findings = guard?.findings ?? [];
  const rows = [
    ["Reason", verdict.reason || "–"],
    ["Rule", verdict.rule],
    ["Holds for", `${verdict.label}; scale ${verdict.scale}, data ${verdict.data}, ${plural(verdict.seeds, "seed")}`],
    isNumber(verdict.p_holm) && effects.length ? ["p after Holm, over all claims", pText(verdict.p_holm)] : null,
    ["Guard", [fair, findings.length ? el("ul", {}, findings.map((text) => el("li", {}, text))) : null]],
    ["Source", verdict.source],
  ].filter((row) => row !== null);
  const there = comparisons.some(({ id }) => id === verdict.comparison);
  return el("div", { class: "details" },
    el("dl", {}, rows.flatMap(([term, said]) => [el("dt", {}, term), el("dd", {}, said)])),
    effects.length ? effectTable(verdict) : emptyNote("No effect could be estimated yet."),
    there ? el("p", {}, el("a", { href: `#${comparisonSlug(verdict.comparison)}` },
      `Curves and scores: ${verdict.comparison}`)) : null);
}

function effectTable({ claim, effects }) {
  const head = ["Effect", "Measure", "Estimate [95 % interval]", "Forest", "p", "Outcome", "Part"];
  const rows = effects.map((effect) => {
    const alike = effects.filter(({ measure }) => measure === effect.measure); // one scale for one measure
    return [
      effect.name,
      `${effect.measure}${effect.unit && effect.unit !== effect.measure ? ` (${effect.unit})` : ""}`,
      withInterval(effect.estimate, effect.low, effect.high, { sign: true }),
      forest(effect, reachOf(alike)),
      pText(effect.p),
      effect.expects ? `${effect.outcome}; claimed: ${effect.expects}` : effect.outcome,
      effect.primary ? "primary" : "secondary",
    ];
  });
  return dataTable(`All effects of ${claim}`, head, rows, { numeric: [2, 4] });
}
