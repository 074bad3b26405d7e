// Run by test_page_scripts.py beside copies of the page's scripts: node --test.

import assert from "node:assert/strict";
import { test } from "node:test";
import { checkPixels, pickChannels, strangeGreyValues } from "./channels.js";
import { plural, short, stemOf, timeLeft } from "./words.js";

const plane = (...values) => Uint8Array.from(values);
const rgb = { planes: [plane(1, 2), plane(3, 4), plane(5, 6)], names: ["red", "green", "blue"], alpha: false };
const grey = { planes: [plane(1, 2)], names: [], alpha: false };

test("all channels are taken if none are chosen", () => {
  assert.deepEqual(pickChannels(rgb, null, 3), { planes: rgb.planes, notes: [] });
});

test("channels are chosen by number and name, in their order", () => {
  assert.deepEqual(pickChannels(rgb, [2, 0], 2).planes, [rgb.planes[2], rgb.planes[0]]);
  assert.deepEqual(pickChannels(rgb, ["Green"], 1).planes, [rgb.planes[1]]);
});

test("an opaque channel is left out, a transparent one is not", () => {
  const opaque = { planes: [plane(1, 2), plane(255, 255)], names: [], alpha: true };
  assert.deepEqual(pickChannels(opaque, null, 1).planes, [opaque.planes[0]]);
  const transparent = { planes: [plane(1, 2), plane(255, 9)], names: [], alpha: true };
  assert.throws(() => pickChannels(transparent, null, 1), /2 channels, the network takes 1 channel\. Save it without transparency/);
});

test("equal colours are grey, others are refused with their names", () => {
  const equal = { ...rgb, planes: [plane(1, 2), plane(1, 2), plane(1, 2)] };
  assert.deepEqual(pickChannels(equal, null, 1).planes, [equal.planes[0]]);
  assert.match(pickChannels(equal, null, 1).notes[0], /read as grey/);
  assert.throws(() => pickChannels(rgb, null, 1), /3 channels \(red, green, blue\), the network takes 1 channel\. Save it as a grey image/);
});

test("a missing channel is refused, unless the number of channels is right", () => {
  assert.throws(() => pickChannels(rgb, [0, 4], 2), /takes the channels 0, 4/);
  assert.throws(() => pickChannels(grey, null, 3), /1 channel, the network takes 3 channels/);
  assert.match(pickChannels(grey, [1], 1).notes[0], /trained on the channels 1/);
});

test("constant and infinite images are refused", () => {
  assert.throws(() => checkPixels([plane(7, 7), plane(8, 8)]), /every pixel is 7, 8/);
  assert.throws(() => checkPixels([Float32Array.of(1, NaN)]), /NaN or infinite/);
  checkPixels([plane(7, 7), plane(8, 9)]);
});

test("unusual grey values are named", () => {
  const image = [plane(100, 120, 140, 160)];
  assert.equal(strangeGreyValues(image, 2, 2, [128], [30]), null);
  assert.match(strangeGreyValues(image, 2, 2, [1000], [30]), /mean 130\).*mean 1,?000\)/);
  assert.notEqual(strangeGreyValues(image, 2, 2, [128], [3000]), null);
});

test("numbers, times and names are words", () => {
  assert.equal(plural(1, "object"), "1 object");
  assert.equal(plural(1234, "object"), "1,234 objects");
  assert.deepEqual([0.4, 12.4, 63, 200, 9000].map(timeLeft),
    ["about a second left", "about 12 s left", "about 65 s left", "about 3 min left", "about 3 h left"]);
  assert.equal(stemOf("a.b.ome.tif", 0, 1), "a.b");
  assert.equal(stemOf("cells.PNG", 2, 9), "cells_page3");
  assert.equal(short(1234.5), "1,230");
});
