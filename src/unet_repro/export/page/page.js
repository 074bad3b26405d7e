// The page: takes images, has the worker predict them one after the other, shows and saves the results.

import { ask, askToStop, startWorker } from "./jobs.js";
import { plural, short, stemOf, timeLeft } from "./words.js";
import { drawHistogram, drawResult } from "./view.js";

const byId = (id) => document.getElementById(id);
const model = JSON.parse(byId("model").textContent);
const settings = { ...model.settings };
let entries = []; // {id, file, page, pages, state, message, result, objects, tiles, begun}
let selected = null, secondsPerPixel = null, working = false, nextId = 0;

function hearOfTiles(news) {
  const entry = entries.find((each) => each.id === news.id);
  if (!entry) return;
  if (news.type === "planned") entry.tiles = { done: 0, total: news.tiles, pixels: news.tilePixels };
  else {
    entry.tiles.done++;
    secondsPerPixel = news.seconds / entry.tiles.pixels;
  }
  entry.begun = performance.now();
  showProgress();
}

const prepared = startWorker(model, hearOfTiles);
prepared.then((started) => {
  ({ secondsPerPixel } = started);
  document.documentElement.dataset.ready = "";
  showAll();
}, (error) => {
  byId("broken").hidden = false;
  byId("broken-why").textContent = error.message;
  byId("status").textContent = "";
});

// Taking images, and working through them.

function take(files) {
  entries.push(...[...files].map((file) => ({ id: nextId++, file, page: 0, pages: 1, state: "waiting" })));
  selected ??= entries[0] ?? null;
  showAll();
  work();
}

const nameOf = (entry) => entry.file.name + (entry.pages > 1 ? `, page ${entry.page + 1}` : "");

async function work() {
  if (working) return;
  working = true;
  await prepared.catch(() => new Promise(() => {})); // without a worker nothing is predicted
  for (let entry; (entry = entries.find((each) => each.state === "waiting")); ) {
    entry.state = "running";
    showAll();
    try {
      await openPages(entry);
      const result = isWanted(entry) ? await ask("segment", { id: entry.id, file: entry.file, page: entry.page }) : { stopped: true };
      if (result.stopped) entry.state = "stopped";
      else {
        entry.result = result;
        entry.objects = await ask("objects", { id: entry.id, settings });
        entry.state = "done";
      }
    } catch (error) {
      entry.state = "failed";
      entry.message = error.message;
    }
    byId("announce").textContent = `${nameOf(entry)}: ${entry.state === "done" ? plural(entry.objects.count, "object") : STATES[entry.state]}`;
    if (!entries.includes(entry)) ask("forget", { id: entry.id }); // removed meanwhile
    showAll();
  }
  working = false;
  showAll();
}

/** Adds an entry for each further page of a stack. */
async function openPages(entry) {
  if (entry.page > 0) return;
  const { pages } = await ask("open", { file: entry.file });
  if (!isWanted(entry)) return;
  entry.pages = pages;
  const further = Array.from({ length: pages - 1 }, (_, index) => ({ id: nextId++, file: entry.file, page: index + 1, pages, state: "waiting" }));
  entries.splice(entries.indexOf(entry) + 1, 0, ...further);
  showAll();
}

/** Whether an image has been neither stopped nor removed while it was read. */
const isWanted = (entry) => !entry.isStopped && entries.includes(entry);

function stop() {
  for (const entry of entries) {
    if (entry.state === "waiting") entry.state = "stopped";
    if (entry.state === "running") entry.isStopped = true;
  }
  askToStop();
  showAll();
}

function remove(entry) {
  if (entry.state === "done") ask("forget", { id: entry.id });
  if (entry.state === "running") askToStop();
  const at = entries.indexOf(entry);
  entries = entries.filter((each) => each !== entry);
  if (selected === entry) selected = entries[Math.min(at, entries.length - 1)] ?? null;
  showAll();
}

/** Finds the objects of all images again, the one that is shown first. */
async function changeSettings() {
  const threshold = byId("threshold"), minSize = byId("min-size");
  if (!threshold.reportValidity() || !minSize.reportValidity()) return;
  Object.assign(settings, { threshold: threshold.valueAsNumber, minSize: minSize.valueAsNumber });
  byId("reset").hidden = settings.threshold === model.settings.threshold && settings.minSize === model.settings.minSize;
  const { threshold: wanted, minSize: least } = settings;
  for (const entry of [selected, ...entries.filter((each) => each !== selected)]) {
    if (entry?.state !== "done" || !entries.includes(entry)) continue;
    const objects = await ask("objects", { id: entry.id, settings: { ...settings } });
    if (settings.threshold !== wanted || settings.minSize !== least) return; // changed again meanwhile
    entry.objects = objects;
    showAll();
  }
}

// Saving.

async function save(what) {
  const done = entries.filter((entry) => entry.state === "done");
  const images = what === "table-all" ? done : [selected];
  const named = images.map((entry) => ({ id: entry.id, name: entry.file.name, plane: entry.page + 1 }));
  const stem = stemOf(selected.file.name, selected.page, selected.pages);
  const names = { labels: `${stem}.labels.png`, classes: `${stem}.classes.png`, probability: `${stem}.probability.png`, table: `${stem}.objects.csv`, "table-all": "objects.csv" };
  try {
    const { file } = await ask("save", { what: what === "table-all" ? "table" : what, images: named, settings: { ...settings } });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: names[what] });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    byId("saved").textContent = `Saved ${names[what]}.`;
  } catch (error) {
    byId("saved").textContent = error.message;
  }
}

// Showing.

function showAll() {
  document.body.classList.toggle("filled", entries.length > 0);
  showList();
  showSelected();
  showProgress();
}

const STATES = { waiting: "waiting", running: "running", stopped: "stopped", failed: "not segmented" };

function showList() {
  const list = byId("list"), focused = list.contains(document.activeElement);
  list.replaceChildren(...entries.map((entry) => {
    const item = byId("entry").content.firstElementChild.cloneNode(true);
    item.dataset.state = entry.state;
    const [open, away] = item.querySelectorAll("button");
    item.querySelector(".name").textContent = nameOf(entry);
    item.querySelector(".state").textContent = entry.state === "done" ? plural(entry.objects.count, "object") : STATES[entry.state];
    if (entry === selected) open.setAttribute("aria-current", "true");
    open.onclick = () => { selected = entry; showAll(); };
    away.setAttribute("aria-label", `Remove ${nameOf(entry)}`);
    away.onclick = () => remove(entry);
    return item;
  }));
  if (focused) list.querySelector("[aria-current]")?.focus();
  byId("list-title").textContent = plural(entries.length, "image");
  const done = entries.filter((entry) => entry.state === "done");
  byId("save-all").hidden = done.length < 2;
  const total = done.reduce((sum, entry) => sum + entry.objects.count, 0);
  byId("total").textContent = done.length > 1 ? `${plural(total, "object")} in ${plural(done.length, "image")}` : "";
}

function showSelected() {
  const state = selected?.state;
  byId("viewer").hidden = !selected;
  if (!selected) return;
  byId("image-title").textContent = nameOf(selected);
  byId("failure").hidden = state !== "failed";
  byId("failure-why").textContent = selected.message ?? "";
  byId("pending").hidden = !["waiting", "running", "stopped"].includes(state);
  byId("pending").textContent = { waiting: "Waiting for the images before it.", running: "Being segmented.", stopped: "Stopped. Drop the image again to segment it." }[state] ?? "";
  byId("result").hidden = state !== "done";
  if (state === "done") showResult(selected);
}

function showResult({ result, objects }) {
  const { picture, width, height, notes, strange } = result;
  const show = (id) => byId(id).checked;
  drawResult(byId("canvas"), picture, {
    outline: show("show-outlines") ? objects.outline : null,
    classes: objects.classes && show("show-classes") ? objects.classes : null,
    colours: model.colours,
  });
  byId("canvas").setAttribute("aria-label", `${nameOf(selected)} with the outlines of ${plural(objects.count, "object")}`);
  byId("size").textContent = `${width} × ${height} pixels${picture.factor > 1 ? `, shown at 1/${picture.factor}` : ""}`;
  byId("count").textContent = objects.count.toLocaleString("en-GB");
  byId("count-noun").textContent = objects.count === 1 ? "object" : "objects";
  const facts = objects.count ? [
    ["median area", `${short(objects.medianArea)} px`],
    ["share of the image", `${short(100 * objects.share)} %`],
    ["at the border", objects.atBorder.toLocaleString("en-GB")],
  ] : [];
  byId("facts").replaceChildren(...facts.flatMap(([name, value]) => [
    Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { textContent: value })]));
  byId("histogram").replaceChildren(...[drawHistogram(objects.sizes)].filter(Boolean));
  byId("no-objects").hidden = objects.count > 0;
  byId("strange").hidden = strange === null;
  byId("strange").textContent = strange ?? "";
  byId("notes").textContent = notes.join(" ");
  if (objects.classShares) {
    byId("classes").replaceChildren(...objects.classShares.map((share, number) => {
      const item = document.createElement("li");
      const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
      swatch.style.background = `rgb(${model.colours[number].join()})`;
      item.append(swatch, `${model.classes[number]}: ${short(100 * share)} %`);
      return item;
    }));
  }
}

/** Tiles done of an entry, with the expected part of the tile in work. */
function doneTiles(entry) {
  const expected = secondsPerPixel * entry.tiles.pixels;
  return Math.min(entry.tiles.total, entry.tiles.done + Math.min(0.97, (performance.now() - entry.begun) / 1e3 / expected));
}

function showProgress() {
  const running = entries.find((entry) => entry.state === "running");
  byId("progress").hidden = !running;
  const ready = "ready" in document.documentElement.dataset;
  if (!running) {
    byId("status").textContent = !ready ? "Preparing the network …" : working ? "Reading …" : entries.length ? "Done." : "Ready.";
    return;
  }
  const waiting = entries.filter((entry) => entry.state === "waiting");
  const others = entries.length > 1 ? ` (${entries.indexOf(running) + 1} of ${entries.length})` : "";
  if (!running.tiles) {
    byId("status").textContent = `Reading ${nameOf(running)}${others}`;
    byId("bar").removeAttribute("value");
    return;
  }
  const done = doneTiles(running), { total, pixels } = running.tiles;
  const secondsOfImage = secondsPerPixel * pixels * total;
  const left = secondsOfImage * (1 - done / total) + secondsOfImage * waiting.length; // the others are taken to be as large
  byId("bar").value = done / total;
  byId("status").textContent = `Segmenting ${nameOf(running)}${others}, ${timeLeft(left)}`;
}

setInterval(() => { if (working) showProgress(); }, 250);

// Controls.

byId("files").addEventListener("change", (event) => {
  take(event.target.files);
  event.target.value = "";
});
const isFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
let inside = 0; // elements that the pointer is over while it drags a file
addEventListener("dragenter", (event) => { if (isFiles(event)) document.body.classList.toggle("dragging", ++inside > 0); });
addEventListener("dragleave", (event) => { if (isFiles(event)) document.body.classList.toggle("dragging", --inside > 0); });
addEventListener("dragover", (event) => { if (isFiles(event)) event.preventDefault(); });
addEventListener("drop", (event) => {
  if (!isFiles(event)) return;
  event.preventDefault();
  inside = 0;
  document.body.classList.remove("dragging");
  take(event.dataTransfer.files);
});
byId("stop").onclick = stop;
for (const id of ["show-outlines", "show-classes"]) byId(id).onchange = showSelected;
byId("zoom").onchange = (event) => byId("frame").classList.toggle("actual", event.target.checked);
for (const button of document.querySelectorAll("button[data-save]")) button.onclick = () => save(button.dataset.save);
for (const id of ["threshold", "min-size"]) byId(id).onchange = changeSettings;
byId("reset").onclick = () => {
  byId("threshold").value = model.settings.threshold;
  byId("min-size").value = model.settings.minSize;
  changeSettings();
};
byId("threshold").value = settings.threshold;
byId("min-size").value = settings.minSize;
document.body.classList.toggle("many-classes", model.classes.length > 2);
showAll();
