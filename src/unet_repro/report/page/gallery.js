// Held-out crops: image, ground truth, and two arms compared with a slider.

const RIGHT_CELL = [217, 217, 217], RIGHT_BACKGROUND = [64, 64, 64];
const FALSE_CELL = [0, 114, 178], MISSED_CELL = [213, 94, 0]; // Okabe and Ito's blue and vermilion
const decoded = new Map(); // data URL -> promise of its pixels

function pixelsOf(address) {
  if (!decoded.has(address)) decoded.set(address, decode(address));
  return decoded.get(address);
}

async function decode(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = el("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Correct pixels grey, false cells blue, missed cells vermilion; with the shares of the latter two. */
function errorsOf(predicted, truth) {
  const shown = new ImageData(truth.width, truth.height);
  let [wrong, missed] = [0, 0];
  for (let at = 0; at < shown.data.length; at += 4) {
    const [cell, predictedCell] = [truth.data[at] > 127, predicted.data[at] > 127];
    const colour = cell ? (predictedCell ? RIGHT_CELL : MISSED_CELL) : predictedCell ? FALSE_CELL : RIGHT_BACKGROUND;
    shown.data.set([...colour, 255], at);
    wrong += predictedCell && !cell;
    missed += cell && !predictedCell;
  }
  const share = (number) => `${((400 * number) / shown.data.length).toFixed(1)} %`;
  return { shown, words: `false cell ${share(wrong)}, missed cell ${share(missed)} of this crop` };
}

function fillGallery(body, gallery, comparisons) {
  const titles = new Map(comparisons.map(({ id, title, data, scale: size }) => [id, `${title} (${data}, ${size})`]));
  const armsOf = new Map(comparisons.map(({ id, arms }) => [id, arms.map(({ name }) => name)]));
  const offered = comparisons.map(({ id }) => [id, gallery.predictions?.[id]])
    .filter(([, shown]) => shown && gallery.tiles[shown.data]?.length && Object.keys(shown.arms).length > 1);
  const missing = gallery.missing ?? [];
  body.append(...missing.map((reason) => emptyNote(`Images are not shown: ${reason}.`)));
  if (!offered.length) {
    if (!missing.length) body.append(emptyNote("No predictions yet: they appear once runs are evaluated."));
    return;
  }
  const predictions = new Map(offered);
  const view = {
    comparison: choices.read("gallery comparison", offered[0][0]),
    tile: choices.read("gallery tile", 0),
    a: choices.read("gallery a", null),
    b: choices.read("gallery b", null),
    mode: choices.read("gallery mode", "prediction"),
    size: choices.read("gallery size", "fit"),
    cut: choices.read("gallery cut", 50),
  };
  const controls = el("div", { class: "controls" });
  const panels = el("div", { class: "panels" });
  const credit = el("p", { class: "quiet" });
  const colours = [["correct, cell", RIGHT_CELL], ["correct, background", RIGHT_BACKGROUND],
    ["false cell", FALSE_CELL], ["missed cell", MISSED_CELL]];
  const legend = el("ul", { class: "colours", "aria-label": "Colours of errors" }, colours.map(([name, colour]) =>
    el("li", {}, el("span", { class: "chip", "--c": `rgb(${colour})` }), name)));

  const frames = Object.fromEntries(["image", "truth", "wipe", "a", "b"].map((name) => [name, galleryFrame(name)]));
  const slider = el("input", { type: "range", id: "gallery-cut", min: 0, max: 100, step: 1, value: view.cut,
    "aria-label": "Cut between A on the left and B on the right", on: { input: () => cutAt(slider.valueAsNumber) } });
  const divider = el("div", { class: "divider", "aria-hidden": "true" });
  frames.wipe.stage.append(divider);
  frames.wipe.figure.append(slider);
  const drag = (event) => {
    const box = frames.wipe.canvas.getBoundingClientRect();
    slider.value = Math.round((100 * (event.clientX - box.left)) / box.width);
    cutAt(slider.valueAsNumber);
  };
  frames.wipe.stage.addEventListener("pointerdown", (event) => {
    frames.wipe.stage.setPointerCapture(event.pointerId);
    drag(event);
  });
  frames.wipe.stage.addEventListener("pointermove", (event) => { if (event.buttons & 1) drag(event); });
  panels.append(...Object.values(frames).map(({ figure }) => figure));
  body.append(controls, legend, panels, credit);

  let sides = null; // the displayed pixels of A and B
  let turn = 0; // number of the newest request; slower, older ones are dropped

  function choose(name, value) {
    view[name] = value;
    choices.write(`gallery ${name}`, value);
    update();
  }

  function cutAt(percent) {
    view.cut = percent;
    choices.write("gallery cut", percent);
    slider.setAttribute("aria-valuetext", `${percent} % A, ${100 - percent} % B`);
    divider.style.left = `${percent}%`;
    if (!sides) return;
    const { canvas } = frames.wipe;
    const cut = Math.round((canvas.width * percent) / 100);
    const context = canvas.getContext("2d");
    context.putImageData(sides.a, 0, 0);
    context.putImageData(sides.b, 0, 0, cut, 0, canvas.width - cut, canvas.height);
  }

  function update() {
    if (!predictions.has(view.comparison)) view.comparison = offered[0][0];
    const { data, arms } = predictions.get(view.comparison);
    const tiles = gallery.tiles[data];
    const names = armsOf.get(view.comparison).filter((name) => Object.hasOwn(arms, name));
    if (!(view.tile in tiles)) view.tile = 0;
    if (!names.includes(view.a)) view.a = names[0];
    if (!names.includes(view.b)) view.b = names.find((name) => name !== view.a) ?? names[0];
    if (!["prediction", "error"].includes(view.mode)) view.mode = "prediction";
    const asOptions = names.map((name) => [name, name]);
    const focused = document.activeElement?.id;
    const parts = offered.map(([id]) => [id, titles.get(id) ?? id]);
    const images = tiles.map(({ title }, i) => [String(i), title]);
    const modes = [["prediction", "prediction"], ["error", "error"]];
    const sizes = [["fit", "side by side"], ["large", "large"]];
    controls.replaceChildren(
      dropdown("gallery-comparison", "Comparison", parts, view.comparison, (id) => choose("comparison", id)),
      dropdown("gallery-tile", "Image", images, String(view.tile), (at) => choose("tile", Number(at))),
      dropdown("gallery-a", "A", asOptions, view.a, (name) => choose("a", name)),
      dropdown("gallery-b", "B", asOptions, view.b, (name) => choose("b", name)),
      radios("gallery-mode", "Show", modes, view.mode, (mode) => choose("mode", mode)),
      radios("gallery-size", "Size", sizes, view.size, (size) => choose("size", size)));
    if (focused?.startsWith("gallery-")) document.getElementById(focused)?.focus();
    legend.hidden = view.mode !== "error";
    paint(tiles[view.tile], arms).catch(() => { credit.textContent = "These images cannot be shown."; });
  }

  async function paint(tile, arms) {
    turn += 1;
    const mine = turn;
    body.dataset.state = "painting";
    const addresses = [tile.image, tile.truth, arms[view.a][view.tile], arms[view.b][view.tile]];
    const [image, truth, a, b] = await Promise.all(addresses.map((address) => (address ? pixelsOf(address) : null)));
    if (mine !== turn) return;
    const errors = [a, b].map((predicted) => (predicted ? errorsOf(predicted, truth) : null));
    const blank = new ImageData(truth.width, truth.height);
    const [shownA, shownB] = view.mode === "error" ? errors.map((error) => error?.shown) : [a, b];
    sides = { a: shownA ?? blank, b: shownB ?? blank };
    const missing = "not evaluated yet";
    const texts = {
      image: ["image", tile.title], truth: ["ground truth", "cells light, background dark"],
      wipe: [`A | B: ${view.a} | ${view.b}`, "slide to compare"],
      a: [`A: ${view.a}`, errors[0]?.words ?? missing], b: [`B: ${view.b}`, errors[1]?.words ?? missing],
    };
    for (const [name, pixels] of Object.entries({ image, truth, wipe: sides.a, ...sides })) {
      const { canvas, title, note } = frames[name];
      canvas.width = pixels.width;
      canvas.height = pixels.height;
      canvas.getContext("2d", { willReadFrequently: true }).putImageData(pixels, 0, 0);
      [title.textContent, note.textContent] = texts[name];
      canvas.setAttribute("aria-label", `${texts[name][0]}, ${view.mode}, ${tile.title}; ${texts[name][1]}`);
    }
    panels.dataset.size = view.size;
    credit.textContent = `Crops of held-out images that no run shown here was trained on, one run per arm. Images: ${tile.credit}.`;
    cutAt(view.cut);
    body.dataset.state = "ready";
  }

  update();
}

/** An image with its title. */
function galleryFrame(name) {
  const canvas = el("canvas", { role: "img" });
  const stage = el("div", { class: "stage" }, canvas);
  const [title, note] = [el("strong"), el("span", { class: "quiet" })];
  const figure = el("figure", { "data-panel": name }, el("figcaption", {}, title, note), stage);
  return { canvas, stage, title, note, figure };
}
