// Assembles the page: header, navigation, theme, and the automatic reload during training.

const data = JSON.parse(document.getElementById("data").textContent);
const main = document.getElementById("main");

/** Where the numbers are from, how far they are, and the command that wrote the page. */
function fillMade(body, made) {
  const others = [...(made.running ? [`${made.running} running`] : []), ...(made.failed ? [`${made.failed} failed`] : [])];
  const when = made.time ? new Date(made.time) : null;
  const asWords = { timeZone: "UTC", dateStyle: "long", timeStyle: "short" };
  body.append(
    el("div", { class: "progress" },
      made.record ? null : el("progress", { max: Math.max(1, made.planned), value: made.done, "aria-label": "Runs done" }),
      el("span", { class: "figure" }, [made.record ? plural(made.done, "run")
        : `${made.done} of ${plural(made.planned, "run")} done`, ...others].join(", ")),
      el("span", { class: "quiet" }, `${num(made.minutes)} minutes of training`)),
    el("p", { class: "quiet" }, made.record ? `From the published record, ${made.record}. ` : null,
      when ? ["Made ", el("time", { datetime: made.time }, `${when.toLocaleString("en-GB", asWords)} UTC`),
        `, by unet-repro ${made.version}. `] : null,
      made.commit ? ["Commit of the runs: ", el("code", {}, made.commit), "."] : null),
    ...made.commands.map(copyable));
}

/** Reloads the page periodically during training, but not while the reader interacts with it. */
function reloadWhileTraining(complete) {
  if (complete) return;
  const every = Number(document.body.dataset.reloadSeconds);
  const live = document.getElementById("live");
  const words = el("span");
  const button = el("button", { type: "button", id: "pause", on: { click: () => {
    choices.write("paused", !choices.read("paused", false));
    left = every;
    showCountdown();
  } } });
  let left = every;
  let touched = -Infinity;
  const showCountdown = () => {
    const paused = choices.read("paused", false);
    words.textContent = paused ? "Reloading is paused."
      : `The page reloads in ${left} s and keeps your choices.`;
    button.textContent = paused ? "Resume reloading" : "Pause reloading";
  };
  for (const event of ["pointerdown", "keydown", "input", "wheel"]) {
    addEventListener(event, () => { touched = performance.now(); }, { passive: true });
  }
  setInterval(() => {
    if (choices.read("paused", false) || printing) return;
    left = Math.max(0, left - 1);
    showCountdown();
    if (left === 0 && performance.now() - touched > Math.min(5, every) * 1000) location.reload();
  }, 1000);
  live.className = "note";
  live.append(el("strong", {}, "Still training. "), "Results cover the runs so far. ",
    words, " ", button);
  live.hidden = false;
  showCountdown();
}

function fillContents(comparisons) {
  const link = (id, name) => el("a", { href: `#${id}` }, name);
  const sections = [...main.querySelectorAll("section:not([hidden])")].map((section) => {
    const parts = section.id === "comparisons" ? comparisons : [];
    const places = new Set(parts.map(({ data: source, scale: size, variant }) => `${source} ${size} ${variant}`));
    const inner = !parts.length ? null : el("ul", {}, parts.map((comparison) =>
      el("li", {}, link(comparisonSlug(comparison.id), comparison.title),
        places.size > 1 ? el("small", {}, ` ${comparison.data}, ${comparison.scale}`) : null)));
    return el("li", {}, link(section.id, section.querySelector("h2").textContent), inner);
  });
  const list = document.getElementById("links");
  list.append(...sections);
  const menu = document.getElementById("menu");
  const unfold = (open) => {
    menu.setAttribute("aria-expanded", String(open));
    list.classList.toggle("open", open);
  };
  menu.addEventListener("click", () => unfold(menu.getAttribute("aria-expanded") !== "true"));
  list.addEventListener("click", (event) => { if (event.target.closest("a")) unfold(false); });
  document.getElementById("contents").addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || menu.getAttribute("aria-expanded") !== "true") return;
    unfold(false);
    menu.focus();
  });
  markWhereWeAre(list);
}

/** Marks the link of the section in view. */
function markWhereWeAre(list) {
  const links = [...list.querySelectorAll("a")];
  const parts = links.map((link) => document.getElementById(link.hash.slice(1)));
  let waiting = false;
  const mark = () => {
    waiting = false;
    const tops = parts.map((part) => part.getBoundingClientRect().top);
    const now = tops.findLastIndex((top) => top <= innerHeight * 0.3);
    links.forEach((link) => link.removeAttribute("aria-current"));
    links[now]?.setAttribute("aria-current", "true");
  };
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(mark);
  }, { passive: true });
  mark();
}

function chooseTheme() {
  const select = document.getElementById("theme");
  select.value = document.documentElement.dataset.theme ?? "auto";
  select.addEventListener("change", () => {
    document.documentElement.dataset.theme = select.value;
    try {
      localStorage.setItem("unet-repro:theme", select.value);
    } catch { /* no storage: until the next reload */ }
  });
}

/** Opens the folded parts around the target of a link. */
function unfoldTarget() {
  const target = location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  return target;
}

/** After a reload, restores the scroll position. Otherwise scrolls to the URL's fragment, which exists only now. */
function takePlace() {
  const [navigation] = performance.getEntriesByType("navigation");
  history.scrollRestoration = "manual";
  if (navigation?.type === "reload") {
    scrollTo({ top: choices.read("scroll", 0), behavior: "instant" });
    const focused = choices.read("focus", "");
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  } else unfoldTarget()?.scrollIntoView({ behavior: "instant" });
  addEventListener("hashchange", () => unfoldTarget()?.scrollIntoView());
  addEventListener("pagehide", () => {
    choices.write("scroll", scrollY);
    choices.write("focus", document.activeElement?.id ?? "");
  });
}

const bodyOf = (id) => document.querySelector(`#${id} > .body`);
fillConclusion(bodyOf("conclusion"), data.trials);
fillVerdicts(bodyOf("verdicts"), data.trials, data.comparisons);
fillComparisons(bodyOf("comparisons"), data.comparisons, data.trials);
fillGallery(bodyOf("gallery"), data.gallery, data.comparisons);
fillWeightMaps(bodyOf("weight-maps"), data.weight_maps);
fillSeedRuns(bodyOf("seed-runs"), data.seed_runs);
fillDeviations(bodyOf("deviations"), data.deviations);
fillMade(bodyOf("environment"), data.made);
fillEnvironment(bodyOf("environment"), data);
for (const id of data.made.hidden) document.getElementById(id).hidden = true;
chooseTheme();
fillContents(data.comparisons);
reloadWhileTraining(data.made.complete);
// Heights of charts that are not drawn yet can be reserved now that their boxes have a width.
for (const host of charts.keys()) if (!charts.get(host).drawn) reserve(host);
takePlace();
document.documentElement.dataset.ready = "";
