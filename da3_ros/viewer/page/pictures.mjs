// The newest picture, depth and confidence of a camera, drawn on plain canvases: no WebGL needed.

import { as16, confidenceOf, depthOf } from './packets.mjs';
import { rampTable } from './ramps.mjs';

const TABLES = { depth: rampTable('depth'), confidence: rampTable('confidence') };

// Returns the 2nd and the 98th percentile of the values for which keep is true.
export function range(values, keep) {
  const sample = [];
  const step = Math.max(1, Math.floor(values.length / 4000));
  for (let i = 0; i < values.length; i += step) if (keep(values[i])) sample.push(values[i]);
  if (!sample.length) return [0, 1];
  sample.sort((a, b) => a - b);
  return [0.02, 0.98].map((share) => sample[Math.round(share * (sample.length - 1))]);
}

// Returns the depth as pixels, the logarithm from near to far, and the two.
export function depthPixels({ width, height, buffers, depth_unit: unit }) {
  const packed = as16(buffers.depth);
  const [low, high] = range(packed, (value) => value > 1).map((value) => Math.max(value, 2));
  const ratio = Math.log(Math.max(high / low, 1.01));
  const index = (value) => (value > 1 ? (255 * Math.log(value / low)) / ratio : -1);
  const pixels = coloured(packed, TABLES.depth, index, width, height);
  return { pixels, near: depthOf(low, unit), far: depthOf(high, unit) };
}

// Returns the confidence as pixels, and the least and the most.
export function confidencePixels({ width, height, buffers }) {
  const steps = buffers.confidence;
  const [low, high] = range(steps, () => true);
  const index = (step) => (255 * (step - low)) / Math.max(high - low, 1);
  const pixels = coloured(steps, TABLES.confidence, index, width, height);
  return { pixels, low: confidenceOf(low), high: confidenceOf(high) };
}

function coloured(values, table, index, width, height) {
  const pixels = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < values.length; i++) {
    const at = index(values[i]);
    if (at < 0 && table === TABLES.depth && values[i] <= 1) {
      pixels.set([38, 43, 52, 255], 4 * i);
      continue;
    }
    const place = 3 * Math.min(255, Math.max(0, Math.round(at)));
    pixels[4 * i] = table[place];
    pixels[4 * i + 1] = table[place + 1];
    pixels[4 * i + 2] = table[place + 2];
    pixels[4 * i + 3] = 255;
  }
  return pixels;
}

// Shows pixels on a canvas.
export function show(canvas, pixels, width, height) {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext('2d').putImageData(new ImageData(pixels, width, height), 0, 0);
}

// Shows the picture of a view on a canvas.
export async function showPicture(canvas, { width, height, buffers }) {
  if (!buffers.jpeg) return;
  const picture = await createImageBitmap(new Blob([buffers.jpeg], { type: 'image/jpeg' }));
  canvas.width = width;
  canvas.height = height;
  canvas.getContext('2d').drawImage(picture, 0, 0, width, height);
}
