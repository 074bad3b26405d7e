// The channels that the network receives, and whether the grey values are like those of its training images.

const STRANGE_MEAN = 4, STRANGE_SPREAD = 0.1; // in standard deviations of the training images, as predict.py
const SAMPLE_PX = 512; // side of the region that is compared

const plural = (number) => `${number} channel${number === 1 ? "" : "s"}`;

function equalPlanes(planes) {
  return planes.every((plane) => plane === planes[0] || plane.every((value, pixel) => value === planes[0][pixel]));
}

/**
 * The arrays of pixels of the channels that the network takes: {planes, notes}.
 * `wanted` are numbers or names of channels, or null for all; `needed` is the network's number of channels.
 */
export function pickChannels(image, wanted, needed) {
  let { planes, names } = image;
  const notes = [];
  const opaque = (plane) => plane.every((value) => value === (plane instanceof Uint16Array ? 65535 : 255));
  if (image.alpha && opaque(planes.at(-1))) {
    planes = planes.slice(0, -1);
    names = names.slice(0, -1);
  }
  const given = planes.length;
  if (wanted !== null) {
    const numbers = wanted.map((each) => (typeof each === "string" ? names.indexOf(each.toLowerCase()) : each));
    if (numbers.every((number) => number in planes)) planes = numbers.map((number) => planes[number]);
    else if (given === needed) notes.push(`The network was trained on the channels ${wanted.join(", ")}; of this image all are taken.`);
    else throw new Error(`The image has ${plural(given)}, the network takes the channels ${wanted.join(", ")} of an image.`);
  }
  if (planes.length === needed) return { planes, notes };
  if (needed === 1 && planes.length === 3 && equalPlanes(planes)) {
    return { planes: [planes[0]], notes: ["The three colour channels are equal: the image is read as grey."] };
  }
  const listed = names.length ? ` (${names.join(", ")})` : "";
  const remedy = image.alpha ? "Save it without transparency." : needed === 1 ? "Save it as a grey image." : "Save it with these channels in one page.";
  throw new Error(`The image has ${plural(planes.length)}${listed}, the network takes ${plural(needed)}. ${remedy}`);
}

/** Checks that the pixels are finite and not all equal. */
export function checkPixels(planes) {
  for (const plane of planes) {
    if (plane instanceof Float32Array || plane instanceof Float64Array) {
      if (!plane.every(Number.isFinite)) throw new Error("The image contains NaN or infinite values. Replace them before saving it.");
    }
  }
  if (planes.every((plane) => plane.every((value) => value === plane[0]))) {
    throw new Error(`The image is constant: every pixel is ${planes.map((plane) => plane[0]).join(", ")}.`);
  }
}

/** A warning if the grey values in the middle of the image are far from those of the training images; null otherwise. */
export function strangeGreyValues(planes, width, height, mean, std) {
  const rows = Math.min(height, SAMPLE_PX), columns = Math.min(width, SAMPLE_PX);
  const top = (height - rows) >> 1, left = (width - columns) >> 1;
  let farthest = 0, widest = 0, total = 0;
  planes.forEach((plane, channel) => {
    let sum = 0, squares = 0;
    for (let row = top; row < top + rows; row++) {
      for (let column = left; column < left + columns; column++) {
        const value = (plane[row * width + column] - mean[channel]) / std[channel];
        sum += value;
        squares += value * value;
      }
    }
    const centre = sum / (rows * columns);
    farthest = Math.max(farthest, Math.abs(centre));
    widest = Math.max(widest, Math.sqrt(Math.max(0, squares / (rows * columns) - centre * centre)));
    total += centre * std[channel] + mean[channel];
  });
  if (farthest < STRANGE_MEAN && widest > STRANGE_SPREAD && widest < 1 / STRANGE_SPREAD) return null;
  const number = (value) => String(Number(value.toPrecision(3)));
  return `The grey values (mean ${number(total / planes.length)}) are far from those of the training images `
    + `(mean ${mean.map(number).join(", ")}): expect a poor result, or rescale the image.`;
}
