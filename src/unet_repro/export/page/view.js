// Draws a result: the image with outlines and classes, and the histogram of sizes.

const OUTLINE = [240, 228, 66]; // yellow, which does not occur in grey images
const CLASS_SHARE = 0.45; // of a class's colour over the image
const BINS_PER_DOUBLING = 2;
const SVG = "http://www.w3.org/2000/svg";

/** Draws a picture into a canvas, with outlines and colours of classes if they are given. */
export function drawResult(canvas, picture, { outline, classes, colours }) {
  const { width, height } = picture;
  Object.assign(canvas, { width, height });
  const pixels = new Uint8ClampedArray(picture.pixels);
  for (let pixel = 0; pixel < width * height; pixel++) {
    if (outline?.[pixel]) pixels.set(OUTLINE, 4 * pixel);
    else if (classes?.[pixel]) {
      const colour = colours[classes[pixel]];
      for (let channel = 0; channel < 3; channel++) {
        pixels[4 * pixel + channel] += CLASS_SHARE * (colour[channel] - pixels[4 * pixel + channel]);
      }
    }
  }
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

function svg(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Bars of the number of objects by area, on a logarithmic axis; null without objects. */
export function drawHistogram(sizes) {
  const first = sizes.findIndex((number) => number > 0);
  if (first < 0) return null;
  const shown = sizes.slice(first), most = Math.max(...shown);
  const edge = (bin) => Math.ceil(2 ** ((first + bin) / BINS_PER_DOUBLING)).toLocaleString("en-GB");
  const step = 400 / shown.length;
  const bars = shown.map((number, bin) => svg("rect",
    { x: bin * step + 1, y: 108 - (86 * number) / most, width: step - 2, height: (86 * number) / most, rx: 1.5 },
    svg("title", {}, `${edge(bin)} to ${edge(bin + 1)} px: ${number}`)));
  const label = (x, anchor, text) => svg("text", { x, y: 128, "text-anchor": anchor }, text);
  const peak = shown.indexOf(most);
  const above = svg("text", { x: Math.min(Math.max((peak + 0.5) * step, 16), 384), y: 15, "text-anchor": "middle" }, String(most));
  return svg("svg", { viewBox: "0 0 400 132", role: "img", "aria-label": `Sizes of the objects, ${edge(0)} to ${edge(shown.length)} pixels` },
    svg("line", { x1: 0, x2: 400, y1: 108.5, y2: 108.5 }), ...bars, above, label(0, "start", `${edge(0)} px`), label(400, "end", `${edge(shown.length)} px`));
}
