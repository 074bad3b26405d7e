// Overlap-tiles as in inference/overlap_tile.py: aligned tiles with a halo, mirrored at the border of the image.
// A geometry is {smallest_px, step_px, halo_px}, as TileGeometry; sizes are [rows, columns].

const SEAM_PIXELS = 64 * 64; // cost of a further tile without a halo, in input pixels

/** Size of the output for a legal input size. */
export function outputSize(tile, geometry) {
  return tile - 2 * geometry.halo_px;
}

/** The smallest legal input size whose output is at least `output`. */
export function covering(output, geometry) {
  const { smallest_px: smallest, step_px: step, halo_px: halo } = geometry;
  const steps = Math.ceil((Math.max(output, 1) + 2 * halo - smallest) / step);
  return smallest + Math.max(0, steps) * step;
}

/** Start positions of the tiles' outputs along a line of `extent` pixels. */
export function starts(extent, tile, geometry) {
  const output = outputSize(tile, geometry);
  const stride = Math.max(geometry.step_px, Math.floor(output / geometry.step_px) * geometry.step_px);
  const found = [];
  for (let start = 0; start < Math.max(1, extent - output + stride); start += stride) found.push(start);
  return found;
}

/** Tile sizes along a line, each with the number of tiles that cover it; only the smallest size for each number. */
function lineChoices(extent, geometry) {
  const most = covering(extent, geometry);
  const choices = new Map();
  for (let tile = covering(Math.min(geometry.step_px, extent), geometry); tile <= most; tile += geometry.step_px) {
    const number = starts(extent, tile, geometry).length;
    if (!choices.has(number)) choices.set(number, tile);
  }
  return [...choices].map(([number, tile]) => ({ number, tile }));
}

/** The tiles with the fewest input pixels in total, none larger than `mostPixels`: {tile: [h, w], offsets: [[y, x], ...]}. */
export function planTiles(size, geometry, mostPixels) {
  const [rows, columns] = size.map((extent) => lineChoices(extent, geometry));
  const seam = geometry.halo_px ? 0 : SEAM_PIXELS;
  let best = null;
  for (const row of rows) {
    for (const column of columns) {
      const pixels = row.tile * column.tile;
      const cost = row.number * column.number * (pixels + seam);
      if (pixels <= mostPixels && (best === null || cost < best.cost)) best = { cost, tile: [row.tile, column.tile] };
    }
  }
  if (best === null) throw new Error(`No tile of this network fits into ${mostPixels} pixels.`);
  const [tops, lefts] = size.map((extent, axis) => starts(extent, best.tile[axis], geometry));
  return { tile: best.tile, offsets: tops.flatMap((top) => lefts.map((left) => [top, left])) };
}

/** Indices of the coordinates start, start + 1, ... in a line of `size` pixels mirrored at its ends. */
export function mirrorIndices(start, length, size) {
  const period = Math.max(2 * (size - 1), 1);
  return Int32Array.from({ length }, (_, index) => {
    const folded = (((start + index) % period) + period) % period;
    return folded < size ? folded : period - folded;
  });
}

/** A crop of the mirrored image, channel after channel, float32. `planes` holds one array of pixels for each channel. */
export function cropMirrored(planes, [height, width], [top, left], [tileHeight, tileWidth]) {
  const rows = mirrorIndices(top, tileHeight, height);
  const columns = mirrorIndices(left, tileWidth, width);
  const crop = new Float32Array(planes.length * tileHeight * tileWidth);
  let at = 0;
  for (const plane of planes) {
    for (const row of rows) {
      const begin = row * width;
      for (let column = 0; column < tileWidth; column++) crop[at++] = plane[begin + columns[column]];
    }
  }
  return crop;
}
