// The conclusion in words, and the claims question by question: sentence, word, state of the suite, numbers on demand.

// A shape and a sign for each word, so that colour is not the only cue.
const DISC = "M8 1a7 7 0 1 0 .01 0Z";
const VERDICTS = {
  supported: { shape: DISC, sign: "M4.6 8.3 7 10.7 11.4 5.6" },
  refuted: { shape: "M2 2H14V14H2Z", sign: "M5.2 5.2 10.8 10.8M10.8 5.2 5.2 10.8" },
  "not testable here": { shape: "M8 1 15.5 14.5H.5Z", sign: "M8 5.8V10M8 11.6V12.6" },
  refused: { shape: "M8 1 15.5 14.5H.5Z", sign: "M8 5.8V10M8 11.6V12.6" },
  mixed: { shape: "M8 .5 15.5 8 8 15.5 .5 8Z", sign: "M5 8H11M8 5V11" },
  open: { shape: "M8 .5 15.5 8 8 15.5 .5 8Z", sign: "M4.8 8.6Q6.4 6.4 8 8T11.2 7.4" },
  pending: { shape: DISC, sign: "M8 4.4V8.2L10.6 9.8" },
};
const UNDECIDED = ["open", "pending"];

const wordClass = (word) => (Object.hasOwn(VERDICTS, word) ? word.replaceAll(" ", "-") : "mixed");

function verdictSign(word) {
  const { shape, sign } = VERDICTS[word] ?? VERDICTS.mixed;
  return el("span", { class: `verdict ${wordClass(word)}` },
    svg("svg", { width: 16, height: 16, viewBox: "0 0 16 16", "aria-hidden": "true" },
      svg("path", { class: "shape", d: shape }), svg("path", { class: "sign", d: sign })),
    el("strong", {}, word));
}

const trialId = ({ data, scale: size, variant }) => slug(`${data} ${size} ${variant}`);
const partId = (trial, part) => `part-${part.id}-${trialId(trial)}`;

/** The first screen: what was found, in words, and for which networks. */
function fillConclusion(body, trials) {
  if (!trials.length) {
    body.append(emptyNote("Nothing is judged yet: no claim has finished runs."));
    return;
  }
  for (const trial of trials) {
    const parts = trial.claims.flatMap((claim) => claim.parts);
    body.append(el("article", { class: "conclusion", "data-scale": trial.scale },
      trials.length > 1 ? el("h3", {}, trial.scope) : null,
      trial.banner ? el("p", { class: "note banner" }, trial.banner) : null,
      el("p", { class: "finding" }, trial.lead),
      trial.judged ? el("p", { class: "quiet" }, "Supported: answered as claimed. Refuted: answered against the claim, or the effect "
        + "is too small to matter. Mixed: the tests of a question have different results. Not testable here: its premise did not hold, "
        + "such as a loss to be prevented. Open: not decided by the tests so far, or the premise has not held so far. "
        + "Pending: too few replicates for a test.") : null,
      trial.judged ? el("ul", { class: "findings" }, Object.keys(VERDICTS).filter((word) => !UNDECIDED.includes(word))
        .flatMap((word) => parts.filter((part) => part.word === word)).map((part) => el("li", {}, verdictSign(part.word),
          el("span", {}, el("a", { href: `#${partId(trial, part)}` }, part.id), " ", part.short)))) : null,
      trial.judged ? undecidedLine(trial, parts) : null,
      trial.state ? suiteState(trial.state) : null));
  }
}

function undecidedLine(trial, parts) {
  const left = parts.filter(({ word }) => UNDECIDED.includes(word));
  if (!left.length) return null;
  return unfolding(`undecided-${trialId(trial)}`, `Not settled: ${left.length} of ${plural(parts.length, "question")}`,
    el("ul", { class: "findings" }, left.map((part) => el("li", {}, verdictSign(part.word),
      el("span", {}, el("a", { href: `#${partId(trial, part)}` }, part.id), " ", part.question,
        part.short === part.question ? "" : ` ${part.short}`)))));
}

/** How far a sequential suite is: replicates of undecided questions, looks, what is decided, what is still trained. */
function suiteState({ replicates: [fewest, most], looks, progress, missing, needed }) {
  const share = (number) => `${Math.min(100, (100 * number) / looks.at(-1))}%`;
  const marks = looks.map((at) => el("span", { class: most >= at ? "look done" : "look", "--at": share(at) }, String(at)));
  const number = fewest === most ? plural(most, "complete replicate") : `${fewest} to ${most} complete replicates`;
  return el("div", { class: "suite" },
    el("div", { class: "track", role: "img", "aria-label": `${number}; interim analyses at ${looks.join(", ")}` },
      el("div", { class: "fill some", "--share": share(most) }), el("div", { class: "fill", "--share": share(fewest) }), marks),
    el("p", { class: "quiet" }, `${number} of the undecided questions (a replicate: one seed, with one block of images held `
      + `out). ${progress}`,
      missing ? ` Still missing: ${plural(missing, "result")} in the comparisons ${needed.join(", ")}; one network can count in `
        + "several." : ""));
}

function fillVerdicts(body, trials, comparisons) {
  const judged = trials.filter((trial) => trial.judged);
  if (!judged.length) {
    body.append(emptyNote(trials.length ? "Nothing is judged at this scale: it only checks that everything runs."
      : "No verdicts yet: no claim has finished runs."));
    return;
  }
  for (const trial of judged) {
    const rows = forestRows(trial.claims);
    const parts = trial.claims.flatMap((claim) => claim.parts);
    const shared = parts[0].labels.filter((label) => parts.every(({ labels }) => labels.includes(label)));
    body.append(el("h3", {}, trial.scope),
      shared.length ? el("p", { class: "quiet" }, `Of all questions: the runs were ${shared.join("; ")}.`) : "",
      rows.length ? el("div", {},
        el("p", { class: "quiet" }, "Mark: estimated difference; to the right it is in favour of the claim. Its unit here is the "
          + "margin, the smallest difference that matters. Horizontal line: 95 % interval, not corrected for the number of "
          + "tests; an arrow where it is longer than drawn. Upright stroke at +1: the mark must lie beyond it, and the "
          + "difference must be shown to be above 0; at −1: the difference must be shown to lie to the right of it. Shaded: "
          + "too small to matter. Beside it the difference in its own unit. Tests with fewer than two replicates are not "
          + "drawn. In the tables below, p for and p against are of the one-sided tests that support or refute a claim; one "
          + "decides where it is below the level, which is corrected for all tests and interim analyses. A test whose premise "
          + "fails is not decided."),
        chartBox("forest", (width) => drawForest(width, rows), (width) => forestHeight(width, rows))) : "",
      ...trial.claims.map((claim) => claimPart(trial, claim, comparisons, shared)));
  }
}

function claimPart(trial, claim, comparisons, shared) {
  const there = comparisons.filter(({ experiment, data, scale: size, variant }) =>
    claim.parts.some((part) => part.experiment === experiment) && data === trial.data && size === trial.scale
    && variant === trial.variant);
  return el("article", { class: "claim", "data-claim": claim.id },
    el("h4", {}, el("span", { class: "claim-id" }, claim.id), " ", claim.statement),
    claim.parts.map((part) => partEntry(trial, part, shared)),
    el("p", { class: "quiet" }, "Source: ", claim.source,
      there.length ? [". Trainings: ", there.map((one, i) => [i ? ", " : "",
        el("a", { href: `#${comparisonSlug(one.id)}` }, one.title)])] : null, "."));
}

function partEntry(trial, part, shared) {
  const id = partId(trial, part);
  const answers = [...new Set(part.contrasts.map(({ found }) => found)), ...(part.note ? [part.note] : [])];
  const notes = [part.scope ? `For ${part.scope}` : null, ...part.labels.filter((label) => !shared.includes(label))]
    .filter((text) => text !== null);
  return el("div", { class: "part", id, "data-part": part.id, "data-word": part.word },
    el("div", { class: "said" }, verdictSign(part.word), el("span", { class: "id" }, part.id)),
    el("div", {},
      el("p", { class: "question" }, part.question),
      answers.length > 1 && part.word !== "pending" ? el("ul", { class: "answer" }, answers.map((found) => el("li", {}, found)))
        : el("p", { class: "answer" }, part.found),
      el("p", { class: "quiet" }, part.sure),
      notes.length ? el("p", { class: "quiet" }, `${notes.join("; ")}.`) : null,
      part.published ? el("p", { class: "published" }, el("strong", {}, "The published record: "),
        part.published.word, ". ", part.published.found, " ", el("span", { class: "quiet" }, part.published.scope)) : null,
      part.contrasts.length
        ? unfolding(`${id}-numbers`, "Numbers and rule", el("p", {}, ruleOf(part)), contrastTable(part)) : null));
}

/** The decision rule of a part in words. */
function ruleOf({ contrasts, premise }) {
  const rules = contrasts.map(({ name, kind, margin, unit }) => (kind === "S"
    ? `${name}: supported if it is shown to be above 0 and is estimated at ${margin} ${unit} or more, refuted if it is `
      + `shown to be below ${margin}`
    : `${name}: supported if it is shown to be above −${margin} ${unit}, refuted if it is shown to be below that`));
  return `${rules.join(". ")}.${premise ? ` Premise: ${premise.text}.` : ""}`;
}

function contrastTable({ id, contrasts, beside }) {
  const head = ["Difference", "Measure", "Estimate [95 % interval]", "Margin", "Replicates", "p\u00a0for", "p\u00a0against",
    "Level", "Verdict"];
  const rows = contrasts.map((one) => [one.name, one.title, contrastNumbers(one), String(one.margin),
    String(one.figure?.seeds.length ?? 0), pText(one.p_for), pText(one.p_against),
    isNumber(one.level) ? one.level.toPrecision(2) : "–", one.word]);
  const others = beside.map((figure) => [figure.name, figure.title, contrastNumbers({ figure, unit: figure.unit }), "–",
    String(figure.seeds.length), "–", "–", "–", "shown only"]);
  return dataTable(`Contrasts of ${id}`, head, [...rows, ...others], { numeric: [2, 3, 4, 5, 6, 7] });
}
