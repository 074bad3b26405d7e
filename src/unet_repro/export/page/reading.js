// Image files to arrays of pixels: PNG and TIFF exactly as stored, JPEG by the browser's own decoder.
// An image is {width, height, planes, names, alpha}: one array of pixels for each channel.

import { decodePng } from "./png.js";

const COLOURS = ["red", "green", "blue"];
const FORMATS = "PNG, JPEG and TIFF";

/** Whether the bytes begin with these numbers. */
function begins(bytes, ...numbers) {
  return numbers.every((number, index) => bytes[index] === number);
}

/**
 * Opens a file: {pages, read(page)}; `read` returns an image. TIFF files need the library geotiff.
 * WhiteIsZero images are returned as viewers show them; with `raw` as stored.
 */
export async function openImage(file, raw = false) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (!bytes.length) throw new Error("The file is empty.");
  if (begins(bytes, 0x89, 0x50, 0x4e, 0x47)) return { pages: 1, read: async () => named(await decodePng(bytes)) };
  if (begins(bytes, 0xff, 0xd8, 0xff)) return { pages: 1, read: async () => named(await decodeJpeg(bytes)) };
  if (begins(bytes, 0x49, 0x49) || begins(bytes, 0x4d, 0x4d)) return openTiff(bytes, raw);
  throw new Error(`This is not a kind of file that the page can read: it reads ${FORMATS}.`);
}

function named(image) {
  const colours = image.planes.length - image.alpha === 3;
  return { ...image, names: colours ? [...COLOURS, "alpha"].slice(0, image.planes.length) : [] };
}

/** Channels of a JPEG: 1 or 3, from the header of its frame. */
export function jpegChannels(bytes) {
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker === 0xff) at += 1;
    else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return bytes[at + 9];
    else at += 2 + (bytes[at + 2] << 8) + bytes[at + 3];
  }
  throw new Error("The file is truncated or damaged.");
}

async function decodeJpeg(bytes) {
  const channels = jpegChannels(bytes);
  if (channels !== 1 && channels !== 3) throw new Error(`The JPEG has ${channels} channels. Save it as grey or RGB.`);
  const options = { colorSpaceConversion: "none", imageOrientation: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(new Blob([bytes]), options).catch(() => {
    throw new Error("The browser cannot decode this JPEG: it is truncated or damaged.");
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const planes = Array.from({ length: channels }, (_, channel) => {
    const plane = new Uint8Array(width * height);
    for (let pixel = 0; pixel < plane.length; pixel++) plane[pixel] = data[4 * pixel + channel];
    return plane;
  });
  return { width, height, planes, alpha: false };
}

async function openTiff(bytes, raw) {
  let tiff, pages;
  try {
    tiff = await GeoTIFF.fromArrayBuffer(bytes.buffer);
    pages = await tiff.getImageCount();
  } catch {
    throw new Error("The TIFF is truncated or damaged.");
  }
  return { pages, read: async (page) => readPage(await tiff.getImage(page), bytes.length, raw) };
}

async function readPage(image, fileSize, raw) {
  const tags = image.fileDirectory;
  const kind = image.isTiled ? "Tile" : "Strip";
  const offsets = await tags.loadValue(`${kind}Offsets`), counts = await tags.loadValue(`${kind}ByteCounts`);
  if (offsets.some((offset, index) => Number(offset) + Number(counts[index]) > fileSize)) throw new Error("The TIFF is truncated.");
  const photometric = tags.getValue("PhotometricInterpretation") ?? 1;
  if (photometric > 2) throw new Error("The TIFF has a palette or is no RGB. Save it as grey or RGB.");
  let planes = [...(await image.readRasters())];
  if (photometric === 0 && !raw && image.getSampleFormat() === 1) {
    const white = 2 ** image.getBitsPerSample() - 1;
    planes = planes.map((plane) => plane.map((value) => white - value));
  }
  const extra = [...(tags.hasTag("ExtraSamples") ? await tags.loadValue("ExtraSamples") : [])];
  const alpha = planes.length > 1 && extra.length === 1 && (extra[0] === 1 || extra[0] === 2);
  const colours = photometric === 2 && planes.length - alpha === 3;
  const names = colours ? [...COLOURS, "alpha"].slice(0, planes.length) : [];
  return { width: image.getWidth(), height: image.getHeight(), planes, names, alpha };
}
