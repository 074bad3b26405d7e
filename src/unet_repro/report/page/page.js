// Assembles the page: header, navigation, theme, and the automatic reload during training.

const data = JSON.parse(document.getElementById("data").textContent);
const main = document.getElementById("main");

function fillHeader(made) {
  const time = new Date(made.time);
  const asWords = { timeZone: "UTC", dateStyle: "long", timeStyle: "short" };
  const madeAt = Number.isNaN(time.getTime()) ? made.time : `${time.toLocaleString("en-GB", asWords)} UTC`;
  const others = [...(made.running ? [`${made.running} running`] : []), `${made.failed} failed`];
  document.getElementById("made").append(
    el("div", { class: "progress" },
      el("progress", { max: Math.max(1, made.planned), value: made.done, "aria-label": "Runs done" }),
      el("span", { class: "figure" }, `${made.done} of ${plural(made.planned, "run")} done, ${others.join(", ")}`),
      el("span", { class: "quiet" }, `${num(made.minutes)} minutes of training`)),
    el("p", { class: "quiet" }, "Made ", el("time", { datetime: made.time }, madeAt), ` by unet-repro ${made.version}`,
      made.commit ? [", commit ", el("code", {}, made.commit)] : null),
    made.command ? copyable(made.command) : null);
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
  live.append(el("strong", {}, "Still training. "), "Results cover the runs so far; verdicts are not final. ",
    words, " ", button);
  live.hidden = false;
  showCountdown();
}

function fillContents(comparisons) {
  const link = (id, name) => el("a", { href: `#${id}` }, name);
  const sections = [...main.querySelectorAll("section")].map((section) => {
    const parts = section.id === "comparisons" ? comparisons : [];
    const inner = !parts.length ? null : el("ul", {}, parts.map((comparison) =>
      el("li", {}, link(comparisonSlug(comparison.id), comparison.title),
        el("small", {}, ` ${comparison.data}, ${comparison.scale}`))));
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

/** After a reload, restores the scroll position. Otherwise scrolls to the URL's fragment, which exists only now. */
function takePlace() {
  const [navigation] = performance.getEntriesByType("navigation");
  history.scrollRestoration = "manual";
  if (navigation?.type === "reload") {
    scrollTo({ top: choices.read("scroll", 0), behavior: "instant" });
    const focused = choices.read("focus", "");
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  } else if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });
  addEventListener("pagehide", () => {
    choices.write("scroll", scrollY);
    choices.write("focus", document.activeElement?.id ?? "");
  });
}

const bodyOf = (id) => document.querySelector(`#${id} > .body`);
fillHeader(data.made);
fillVerdicts(bodyOf("verdicts"), data.verdicts, data.comparisons);
fillComparisons(bodyOf("comparisons"), data.comparisons, data.verdicts);
fillGallery(bodyOf("gallery"), data.gallery, data.comparisons);
fillWeightMaps(bodyOf("weight-maps"), data.weight_maps);
fillSeedRuns(bodyOf("seed-runs"), data.seed_runs);
fillDeviations(bodyOf("deviations"), data.deviations);
fillEnvironment(bodyOf("environment"), data);
chooseTheme();
fillContents(data.comparisons);
reloadWhileTraining(data.made.complete);
// Heights of charts that are not drawn yet can be reserved now that their boxes have a width.
for (const host of charts.keys()) if (!charts.get(host).drawn) reserve(host);
takePlace();
document.documentElement.dataset.ready = "";
