// What is shown of an image: grey values between two percentiles, outlines and classes, reduced to a limited size.

const LARGEST_SIDE_PX = 2048;
const DARKEST = 0.01, BRIGHTEST = 0.99; // shares of the pixels that are shown black and white
const SAMPLED = 100_000; // pixels that the percentiles are taken from

/** The grey values that are shown black and white. */
function greyRange(planes) {
  const sample = planes.flatMap((plane) => {
    const step = Math.ceil(plane.length / SAMPLED);
    return Array.from({ length: Math.ceil(plane.length / step) }, (_, index) => Number(plane[index * step]));
  });
  const sorted = Float64Array.from(sample).sort();
  return [DARKEST, BRIGHTEST].map((share) => sorted[Math.round(share * (sorted.length - 1))]);
}

/** The image reduced by a whole number to at most 2048 pixels a side: {width, height, factor, pixels}, RGBA. */
export function drawPicture(planes, width, height) {
  const factor = Math.ceil(Math.max(width, height) / LARGEST_SIDE_PX);
  const [columns, rows] = [width, height].map((side) => Math.ceil(side / factor));
  const [low, high] = greyRange(planes);
  const pixels = new Uint8ClampedArray(4 * columns * rows).fill(255);
  const shown = planes.map((plane) => reduce(plane, width, height, factor).map((value) => ((value - low) / Math.max(high - low, 1e-6)) * 255));
  for (let pixel = 0; pixel < columns * rows; pixel++) {
    const colours = shown.length === 3 ? shown.map((plane) => plane[pixel])
      : Array(3).fill(shown.reduce((sum, plane) => sum + plane[pixel], 0) / shown.length);
    pixels.set(colours, 4 * pixel);
  }
  return { width: columns, height: rows, factor, pixels };
}

/** The mean of each block of factor x factor pixels. */
function reduce(plane, width, height, factor) {
  if (factor === 1) return Float32Array.from(plane);
  const columns = Math.ceil(width / factor), rows = Math.ceil(height / factor);
  const total = new Float32Array(columns * rows), number = new Uint16Array(columns * rows);
  for (let row = 0, pixel = 0; row < height; row++) {
    const line = Math.floor(row / factor) * columns;
    for (let column = 0; column < width; column++, pixel++) {
      const block = line + Math.floor(column / factor);
      total[block] += plane[pixel];
      number[block]++;
    }
  }
  return total.map((sum, block) => sum / number[block]);
}

/** 1 for each block of pixels with an outline in it. */
export function reduceOutline(border, width, height, factor) {
  return Uint8Array.from(reduce(border, width, height, factor), (share) => (share > 0 ? 1 : 0));
}

/** The class at the first pixel of each block. */
export function reduceClasses(classes, width, height, factor) {
  const columns = Math.ceil(width / factor), rows = Math.ceil(height / factor);
  const found = new Uint8Array(columns * rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) found[row * columns + column] = classes[row * factor * width + column * factor];
  }
  return found;
}
