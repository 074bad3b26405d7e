// Works beside the page, which stays responsive: reads images, predicts them tile by tile, finds and measures objects.
// Messages have a `type`; those that begin a job have an `id`, which its answers repeat.

import { covering, cropMirrored, outputSize, planTiles } from "./tiling.js";
import { encodePng, through } from "./png.js";
import { openImage } from "./reading.js";
import { checkPixels, pickChannels, strangeGreyValues } from "./channels.js";
import { innerBorder, labelObjects, measureObjects, sizeHistogram } from "./objects.js";
import { tableHeader, tableRows } from "./table.js";
import { drawPicture, reduceClasses, reduceOutline } from "./picture.js";

const WARM_UP_PX = 256; // output of the tile that the speed is first measured with
let model = null, session = null;
let opened = { file: null, image: null }; // the last file: the pages of a stack are read one after the other
let stopped = false;
const results = new Map(); // id -> {width, height, planes, probability, classes, picture}

const unzip = async (bytes) => through(bytes, new DecompressionStream("gzip"));

/** Starts the runtime and measures its speed. `parts` holds gzipped files. */
async function start({ parts, description }) {
  model = description;
  ort.env.wasm.numThreads = 1; // several need a server that sends special headers
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([await unzip(parts.loader)], { type: "text/javascript" })) };
  ort.env.wasm.wasmBinary = (await unzip(parts.wasm)).buffer;
  session = await ort.InferenceSession.create(await unzip(parts.weights), { executionProviders: ["wasm"] });
  const side = covering(WARM_UP_PX, model.geometry);
  const begin = performance.now();
  await runTile(new Float32Array(model.mean.length * side * side), [side, side]);
  return { secondsPerPixel: (performance.now() - begin) / 1e3 / side ** 2 };
}

/** Class probabilities of a tile, class after class. */
async function runTile(pixels, [height, width]) {
  const tile = new ort.Tensor("float32", pixels, [1, model.mean.length, height, width]);
  return (await session.run({ tile })).probabilities.data;
}

async function source(file) {
  if (opened.file !== file) opened = { file, image: await openImage(file, model.raw) };
  return opened.image;
}

/** Number of pages of a file. */
async function open({ file }) {
  return { pages: (await source(file)).pages };
}

/** Predicts a page; its tiles are announced one by one. */
async function segment({ id, file, page }) {
  stopped = false;
  const image = await (await source(file)).read(page);
  const { width, height } = image;
  const { planes, notes } = pickChannels(image, model.channels, model.mean.length);
  checkPixels(planes);
  const strange = strangeGreyValues(planes, width, height, model.mean, model.std);
  const plan = planTiles([height, width], model.geometry, model.mostTilePixels);
  if (model.dependsOnTile && plan.offsets.length > 1) notes.push("The image does not fit into one tile. With this network's normalisation the result depends on the tiles.");
  const result = { width, height, planes, probability: new Float32Array(width * height), classes: null, picture: drawPicture(planes, width, height) };
  if (model.classes.length > 2) result.classes = new Uint8Array(width * height);
  postMessage({ type: "planned", id, tiles: plan.offsets.length, tilePixels: plan.tile[0] * plan.tile[1] });
  for (const [top, left] of plan.offsets) {
    const begin = performance.now();
    const halo = model.geometry.halo_px;
    const probabilities = await runTile(cropMirrored(planes, [height, width], [top - halo, left - halo], plan.tile), plan.tile);
    stitch(probabilities, plan.tile.map((side) => outputSize(side, model.geometry)), [top, left], result);
    postMessage({ type: "tile", id, seconds: (performance.now() - begin) / 1e3 });
    await new Promise((resolve) => { setTimeout(resolve); }); // lets a message to stop arrive
    if (stopped) return { stopped: true };
  }
  results.set(id, result);
  return { width, height, notes, strange, picture: result.picture };
}

/** Writes the probability of the foreground, and the best of several classes, of a tile's output into the image. */
function stitch(probabilities, [tileHeight, tileWidth], [top, left], { width, height, probability, classes }) {
  const size = tileHeight * tileWidth, number = model.classes.length;
  for (let row = 0; row < Math.min(tileHeight, height - top); row++) {
    for (let column = 0; column < Math.min(tileWidth, width - left); column++) {
      const from = row * tileWidth + column, to = (top + row) * width + left + column;
      probability[to] = number === 2 ? probabilities[size + from] : 1 - probabilities[from];
      if (classes) {
        let best = 0;
        for (let each = 1; each < number; each++) if (probabilities[each * size + from] > probabilities[best * size + from]) best = each;
        classes[to] = best;
      }
    }
  }
}

/** Objects of an image by the settings; kept for the next call with the same settings. */
function objectsOf(result, settings) {
  if (result.found?.threshold !== settings.threshold || result.found?.minSize !== settings.minSize) {
    const { probability, width, height, planes } = result;
    const { labels, count } = labelObjects(probability, width, height, settings);
    result.found = { ...settings, labels, objects: measureObjects(labels, count, width, height, planes, probability) };
  }
  return result.found;
}

/** What the page shows of the objects: numbers, sizes, and outlines at the size of the picture. */
function objects({ id, settings }) {
  const result = results.get(id);
  const { labels, objects: found } = objectsOf(result, settings);
  const { width, height, picture, classes } = result;
  const areas = found.map((object) => object.area).sort((one, other) => one - other);
  const covered = areas.reduce((sum, area) => sum + area, 0);
  return {
    count: areas.length,
    atBorder: found.filter((object) => object.touchesBorder).length,
    medianArea: areas.length ? (areas[(areas.length - 1) >> 1] + areas[areas.length >> 1]) / 2 : null,
    share: covered / (width * height),
    sizes: sizeHistogram(areas),
    outline: reduceOutline(innerBorder(labels, width, height), width, height, picture.factor),
    classes: classes && reduceClasses(classes, width, height, picture.factor),
    classShares: classes && classShares(classes),
  };
}

function classShares(classes) {
  const counts = Array(model.classes.length).fill(0);
  for (const each of classes) counts[each]++;
  return counts.map((count) => count / classes.length);
}

/** A file to save: `labels`, `classes`, `probability` or `table`. */
async function save({ what, images, settings }) {
  if (what === "table") {
    const rows = images.map(({ id, name, plane }) => tableRows(name, plane, objectsOf(results.get(id), settings).objects));
    return { file: new Blob([tableHeader(model.mean.length), ...rows], { type: "text/csv" }) };
  }
  const result = results.get(images[0].id);
  const { width, height, probability, classes } = result;
  if (what === "classes") return { file: await encodePng(width, height, classes, model.colours) };
  if (what === "probability") return { file: await encodePng(width, height, Uint16Array.from(probability, (value) => Math.round(value * 65535))) };
  const found = objectsOf(result, settings);
  if (found.objects.length > 65535) throw new Error("There are more than 65535 objects, the most that a PNG of 16 bits can number. Raise the smallest size.");
  return { file: await encodePng(width, height, Uint16Array.from(found.labels)) };
}

function forget({ id }) {
  results.delete(id);
  return {};
}

const jobs = { start, open, segment, objects, save, forget };
let last = Promise.resolve(); // jobs run one after the other

onmessage = ({ data }) => {
  if (data.type === "stop") {
    stopped = true;
    return;
  }
  last = last.then(async () => {
    try {
      postMessage({ ...(await jobs[data.type](data)), type: "done", id: data.id, job: data.job });
    } catch (error) {
      const message = error?.message ?? String(error); // ONNX Runtime throws a number where memory ends
      const ended = /alloc|out of memory|^\d+$/i.test(message) ? "The browser has not enough memory for this image. " : "";
      postMessage({ type: "failed", id: data.id, job: data.job, message: ended + message });
    }
  });
};
