// Objects from the probability of the foreground, and their measures; as inference/instances.py and objects/measure.py.

const BINS_PER_DOUBLING = 2; // of the histogram of sizes
const LENGTHS = new Float64Array(50); // of a border pixel, by its neighbours on the border
for (const code of [4, 6, 14, 16, 24, 26]) LENGTHS[code] = 1;
for (const code of [20, 32]) LENGTHS[code] = Math.SQRT2;
for (const code of [12, 22]) LENGTHS[code] = (1 + Math.SQRT2) / 2;

/** Numbers the 4-connected pieces of at least `minSize` pixels, in raster order of their first pixels: {labels, count}. */
export function labelObjects(probability, width, height, { threshold, minSize }) {
  const lowest = Math.fround(threshold), number = width * height;
  const labels = new Int32Array(number), queue = new Int32Array(number);
  let count = 0;
  for (let first = 0; first < number; first++) {
    if (labels[first] !== 0 || !(probability[first] >= lowest)) continue;
    let size = 1;
    queue[0] = first;
    labels[first] = count + 1;
    const add = (pixel) => {
      if (labels[pixel] === 0 && probability[pixel] >= lowest) {
        labels[pixel] = count + 1;
        queue[size++] = pixel;
      }
    };
    for (let at = 0; at < size; at++) {
      const pixel = queue[at], column = pixel % width;
      if (pixel >= width) add(pixel - width);
      if (column > 0) add(pixel - 1);
      if (column + 1 < width) add(pixel + 1);
      if (pixel + width < number) add(pixel + width);
    }
    if (size >= minSize) count++;
    else for (let at = 0; at < size; at++) labels[queue[at]] = -1;
  }
  for (let pixel = 0; pixel < number; pixel++) if (labels[pixel] < 0) labels[pixel] = 0;
  return { labels, count };
}

/** 1 for the pixels of objects with a 4-neighbour that does not belong to them. */
export function innerBorder(labels, width, height) {
  const border = new Uint8Array(labels.length);
  for (let row = 0, pixel = 0; row < height; row++) {
    for (let column = 0; column < width; column++, pixel++) {
      const own = labels[pixel];
      if (own > 0) {
        const same = row > 0 && labels[pixel - width] === own && row + 1 < height && labels[pixel + width] === own
          && column > 0 && labels[pixel - 1] === own && column + 1 < width && labels[pixel + 1] === own;
        border[pixel] = same ? 0 : 1;
      }
    }
  }
  return border;
}

/** Sums over the pixels of each object, by number; index 0 is unused. */
function sums(labels, count, width, height, planes, probability) {
  const zeros = () => new Float64Array(count + 1);
  const found = { area: zeros(), origin: zeros(), y: zeros(), x: zeros(), yy: zeros(), xx: zeros(), yx: zeros(), probability: zeros(), perimeter: zeros() };
  found.grey = planes.map(zeros);
  found.box = [zeros().fill(height), zeros().fill(width), zeros(), zeros()]; // first row, first column, and those after the last
  const border = innerBorder(labels, width, height);
  for (let row = 0, pixel = 0; row < height; row++) {
    for (let column = 0; column < width; column++, pixel++) {
      const own = labels[pixel];
      if (own === 0) continue;
      const [top, left, bottom, right] = found.box;
      if (found.area[own]++ === 0) {
        top[own] = row;
        found.origin[own] = column;
      }
      left[own] = Math.min(left[own], column);
      bottom[own] = row + 1;
      right[own] = Math.max(right[own], column + 1);
      const y = row - top[own], x = column - found.origin[own]; // relative to the first pixel: the sums stay exact
      found.y[own] += y;
      found.x[own] += x;
      found.yy[own] += y * y;
      found.xx[own] += x * x;
      found.yx[own] += y * x;
      found.probability[own] += probability[pixel];
      planes.forEach((plane, channel) => { found.grey[channel][own] += plane[pixel]; });
      if (border[pixel]) found.perimeter[own] += LENGTHS[borderCode(labels, border, own, row, column, width, height)];
    }
  }
  return found;
}

/** 2 for each neighbour at a side and 10 for each at a corner that is on the border of the same object. */
function borderCode(labels, border, own, row, column, width, height) {
  let code = 0;
  for (let y = Math.max(0, row - 1); y <= Math.min(height - 1, row + 1); y++) {
    for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x++) {
      const pixel = y * width + x;
      if ((y !== row || x !== column) && border[pixel] && labels[pixel] === own) code += y === row || x === column ? 2 : 10;
    }
  }
  return code;
}

/** The measures of the objects 1..count: one record each, in pixels and grey values. */
export function measureObjects(labels, count, width, height, planes, probability) {
  const found = sums(labels, count, width, height, planes, probability);
  const [top, left, bottom, right] = found.box;
  return Array.from({ length: count }, (_, index) => {
    const own = index + 1, area = found.area[own];
    const y = found.y[own] / area, x = found.x[own] / area;
    const varianceY = found.yy[own] / area - y * y, varianceX = found.xx[own] / area - x * x;
    const spread = Math.hypot((varianceY - varianceX) / 2, found.yx[own] / area - y * x);
    const large = (varianceY + varianceX) / 2 + spread, small = Math.max((varianceY + varianceX) / 2 - spread, 0);
    return {
      area, centroidX: x + found.origin[own], centroidY: y + top[own], left: left[own], top: top[own], right: right[own], bottom: bottom[own],
      perimeter: found.perimeter[own], eccentricity: Math.sqrt(1 - (large > 0 ? small / large : 1)),
      intensity: found.grey.map((grey) => grey[own] / area),
      touchesBorder: top[own] === 0 || left[own] === 0 || bottom[own] === height || right[own] === width,
      probability: found.probability[own] / area,
    };
  });
}

/** Number of objects by size: bin b holds 2 ** (b / 2) <= area < 2 ** ((b + 1) / 2). */
export function sizeHistogram(areas) {
  const bins = [];
  for (const area of areas) {
    const bin = Math.floor(Math.log2(area) * BINS_PER_DOUBLING + 1e-9);
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  return Array.from(bins, (number) => number ?? 0);
}
