// PNG files: reads every kind exactly (a canvas has 8 bits and may change colours), writes labels of 8 and 16 bits.

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGBA = 6;
const SAMPLES = { [GREY]: 1, [RGB]: 3, [PALETTE]: 1, [GREY_ALPHA]: 2, [RGBA]: 4 };
const WHOLE = [[0, 0, 1, 1]];
const ADAM7 = [[0, 0, 8, 8], [0, 4, 8, 8], [4, 0, 8, 4], [0, 2, 4, 4], [2, 0, 4, 2], [0, 1, 2, 2], [1, 0, 2, 1]];

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Bytes passed through a stream such as `new DecompressionStream("gzip")`. */
export async function through(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

function readChunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks = [];
  for (let at = 8; ; ) {
    if (at + 12 > bytes.length) throw new Error("The file is truncated.");
    const end = at + 12 + view.getUint32(at);
    if (end > bytes.length) throw new Error("The file is truncated.");
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (crc32(bytes.subarray(at + 4, end - 4)) !== view.getUint32(end - 4)) throw new Error(`The file is damaged at byte ${at}.`);
    chunks.push({ type, data: bytes.subarray(at + 8, end - 4) });
    if (type === "IEND") return chunks;
    at = end;
  }
}

/** Reverses the filters of the rows of one pass; returns the position after it. */
function unfilter(data, at, rows, rowBytes, pixelBytes) {
  for (let row = 0; row < rows; row++) {
    const filter = data[at++];
    const above = row ? at - 1 - rowBytes : -1;
    for (let index = 0; index < rowBytes; index++) {
      const a = index < pixelBytes ? 0 : data[at + index - pixelBytes];
      const b = above < 0 ? 0 : data[above + index];
      const c = above < 0 || index < pixelBytes ? 0 : data[above + index - pixelBytes];
      if (filter === 1) data[at + index] += a;
      else if (filter === 2) data[at + index] += b;
      else if (filter === 3) data[at + index] += (a + b) >> 1;
      else if (filter === 4) {
        const pa = Math.abs(b - c), pb = Math.abs(a - c), pc = Math.abs(a + b - 2 * c);
        data[at + index] += pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
      } else if (filter !== 0) throw new Error("The file is damaged: it has an unknown filter.");
    }
    at += rowBytes;
  }
  return at;
}

/** The samples as stored: one array for each sample of a pixel. */
function unpack(data, { width, height, bits, samples, passes }) {
  const planes = Array.from({ length: samples }, () => new (bits === 16 ? Uint16Array : Uint8Array)(width * height));
  let at = 0;
  for (const [top, left, down, right] of passes) {
    const rows = Math.ceil((height - top) / down), columns = Math.ceil((width - left) / right);
    if (rows <= 0 || columns <= 0) continue;
    const rowBytes = Math.ceil((columns * samples * bits) / 8);
    if (at + rows * (rowBytes + 1) > data.length) throw new Error("The file is truncated.");
    const begin = at;
    at = unfilter(data, at, rows, rowBytes, Math.max(1, (samples * bits) >> 3));
    for (let row = 0; row < rows; row++) {
      const line = begin + row * (rowBytes + 1) + 1;
      for (let column = 0; column < columns; column++) {
        const pixel = (top + row * down) * width + left + column * right;
        for (let sample = 0; sample < samples; sample++) {
          const number = column * samples + sample;
          if (bits === 16) planes[sample][pixel] = (data[line + 2 * number] << 8) | data[line + 2 * number + 1];
          else if (bits === 8) planes[sample][pixel] = data[line + number];
          else planes[sample][pixel] = (data[line + ((number * bits) >> 3)] >> (8 - bits - ((number * bits) & 7))) & ((1 << bits) - 1);
        }
      }
    }
  }
  return planes;
}

/** {width, height, planes, alpha}: one array of pixels for each channel, 8 or 16 bits as stored. */
export async function decodePng(bytes) {
  if (SIGNATURE.some((byte, index) => bytes[index] !== byte)) throw new Error("The file is not a PNG.");
  const chunks = readChunks(bytes);
  const find = (type) => chunks.find((chunk) => chunk.type === type)?.data;
  const header = find("IHDR");
  const view = new DataView(header.buffer, header.byteOffset, 13);
  const [width, height, bits, kind] = [view.getUint32(0), view.getUint32(4), header[8], header[9]];
  const packed = await new Blob(chunks.filter((chunk) => chunk.type === "IDAT").map((chunk) => chunk.data)).arrayBuffer();
  const data = await through(packed, new DecompressionStream("deflate")).catch(() => {
    throw new Error("The file is damaged: its pixels cannot be decompressed.");
  });
  let planes = unpack(data, { width, height, bits, samples: SAMPLES[kind], passes: header[12] ? ADAM7 : WHOLE });
  let alpha = kind === GREY_ALPHA || kind === RGBA;
  if (kind === GREY && bits < 8) planes = [planes[0].map((value) => (value * 255) / ((1 << bits) - 1))];
  if (kind === PALETTE) {
    const colours = find("PLTE"), opacity = find("tRNS");
    const index = planes[0];
    planes = [0, 1, 2].map((channel) => index.map((value) => colours[3 * value + channel]));
    if (planes[0].every((value, pixel) => value === planes[1][pixel] && value === planes[2][pixel])) planes = [planes[0]];
    alpha = opacity !== undefined;
    if (alpha) planes.push(index.map((value) => opacity[value] ?? 255));
  }
  return { width, height, planes, alpha };
}

function chunk(type, data) {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set([...type].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, crc32(bytes.subarray(4, data.length + 8)));
  return bytes;
}

/** A PNG of one channel: `values` is a Uint16Array (grey, 16 bits) or a Uint8Array, with a palette of [r, g, b] as indices. */
export async function encodePng(width, height, values, palette = null) {
  const size = values.BYTES_PER_ELEMENT;
  const rows = new Uint8Array(height * (width * size + 1));
  for (let row = 0, at = 0, pixel = 0; row < height; row++) {
    at++; // no filter
    for (let column = 0; column < width; column++, pixel++) {
      if (size === 2) rows[at++] = values[pixel] >> 8;
      rows[at++] = values[pixel] & 0xff;
    }
  }
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header.set([8 * size, palette ? PALETTE : GREY], 8);
  const colours = palette ? [chunk("PLTE", Uint8Array.from(palette.flat()))] : [];
  const packed = await through(rows, new CompressionStream("deflate"));
  const parts = [Uint8Array.from(SIGNATURE), chunk("IHDR", header), ...colours, chunk("IDAT", packed), chunk("IEND", [])];
  return new Blob(parts, { type: "image/png" });
}
