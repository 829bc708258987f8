// The map in a report: the packets lie in the page itself, compressed.

import { Model } from './model.mjs';
import { confidenceOf, decodeAll } from './packets.mjs';
import { Stage } from './stage.mjs';

const NO_WEBGL =
  'The map cannot be drawn: this browser offers no WebGL 2. Switch hardware acceleration on, or use ' +
  'a current Firefox, Chrome, Edge or Safari.';

const $ = (id) => document.getElementById(id);

async function start() {
  const model = new Model();
  let stage = null;
  try {
    stage = new Stage($('stage'), model);
  } catch (error) {
    console.error(error);
    $('hint').textContent = NO_WEBGL;
    $('hint').hidden = false;
    $('controls').hidden = true;
    return;
  }
  const bytes = Uint8Array.from(atob($('scene').textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  for (const packet of decodeAll(await new Response(stream).arrayBuffer())) stage.update(model.apply(packet));
  stage.look.highConfidence = confidenceOf(highestStep([...model.clouds.values(), ...model.views.values()]));
  window.da3 = { model, stage };
  bind(stage);
}

// Returns the highest step of confidence in the clouds.
function highestStep(clouds) {
  let highest = 1;
  for (const { buffers } of clouds) {
    for (const step of buffers.confidence ?? []) if (step > highest) highest = step;
  }
  return highest;
}

function bind(stage) {
  const on = (id, name, change) =>
    $(id).addEventListener(name, ({ target }) => {
      change(target);
      stage.ask();
    });
  on('modes', 'change', ({ value }) => (stage.look.mode = value));
  on('switches', 'change', ({ name, checked }) => (stage.shown[name] = checked));
  on('size', 'input', ({ value }) => (stage.look.pointScale = Number(value)));
  on('confidence', 'input', ({ value }) => {
    stage.look.minConfidence = stage.look.highConfidence ** Number(value);
    $('confidence-value').textContent = stage.look.minConfidence.toFixed(1);
  });
  on('fit', 'click', () => stage.fit());
}

start();
