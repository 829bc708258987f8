// The page of da3 view: a socket, the stage, the cameras' pictures, the status and the player.

import { Model } from './model.mjs';
import { decode } from './packets.mjs';
import { confidencePixels, depthPixels, show, showPicture } from './pictures.mjs';
import { rampGradient } from './ramps.mjs';
import { Stage } from './stage.mjs';

const NO_WEBGL =
  'The cloud cannot be drawn: this browser offers no WebGL 2. Switch hardware acceleration on, or ' +
  'use a current Firefox, Chrome, Edge or Safari. Pictures and status go on to the side.';
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 2000;

const $ = (id) => document.getElementById(id);
const model = new Model();
let stage = null;
let socket = null;
let waitMs = FIRST_WAIT_MS;
let heardAt = 0;
let isSeeking = false;

function start() {
  try {
    stage = new Stage($('stage'), model);
  } catch (error) {
    console.error(error);
    say('hint', NO_WEBGL);
  }
  window.da3 = { model, stage };
  bindControls();
  bindPlayer();
  connect();
  requestAnimationFrame(function tick() {
    if (model.player?.playing) showPlayer();
    requestAnimationFrame(tick);
  });
}

function say(id, text) {
  $(id).textContent = text;
  $(id).hidden = !text;
}

// Connects, and again whenever the connection is lost.
function connect() {
  socket = new WebSocket(`ws://${location.host}/socket`);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => {
    waitMs = FIRST_WAIT_MS;
    say('banner', '');
  };
  socket.onmessage = ({ data, target }) => {
    take(decode(data));
    target.send('taken');
  };
  socket.onclose = ({ reason }) => {
    const why = reason ? `${reason}.` : 'The connection to da3 view is lost.';
    say('banner', `${why} Trying again …`);
    setTimeout(connect, waitMs);
    waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
  };
}

function command(wish) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(wish));
}

function take(packet) {
  const kind = model.apply(packet);
  stage?.update(kind);
  if (kind === 'hello') {
    $('title').textContent = packet.title;
    $('player').hidden = packet.mode !== 'recorded';
  } else if (kind === 'view') showCamera(packet);
  else if (kind === 'status') showStatus(packet.status);
  else if (kind === 'player') {
    heardAt = performance.now();
    showPlayer();
  }
  if (stage) say('hint', model.notice && !model.views.size ? model.notice : '');
}

// Pictures of one camera; made when it is first heard of.
const cards = new Map();

function cardOf(camera) {
  if (cards.has(camera)) return cards.get(camera);
  const box = document.createElement('section');
  box.className = 'panel camera';
  const title = box.appendChild(document.createElement('h2'));
  title.append(Object.assign(document.createElement('span'), { textContent: camera || 'camera' }));
  const rate = title.appendChild(document.createElement('span'));
  const card = { rate, stamps: [] };
  for (const name of ['picture', 'depth', 'confidence']) {
    card[name] = box.appendChild(document.createElement('canvas'));
    card[name].setAttribute('role', 'img');
    card[name].setAttribute('aria-label', `${name} of ${camera || 'the camera'}`);
    if (name === 'picture') continue;
    const scale = box.appendChild(document.createElement('div'));
    scale.className = 'scale';
    const [low, bar, high] = ['span', 'i', 'span'].map((tag) => scale.appendChild(document.createElement(tag)));
    bar.style.background = rampGradient(name);
    card[`${name}Scale`] = [low, high];
  }
  $('cameras').append(box);
  cards.set(camera, card);
  return card;
}

function showCamera(view) {
  const card = cardOf(view.camera);
  const { width, height } = view;
  showPicture(card.picture, view);
  card.picture.hidden = !view.buffers.jpeg;
  const { pixels, near, far } = depthPixels(view);
  show(card.depth, pixels, width, height);
  const unit = model.status?.is_metric ? ' m' : '';
  card.depthScale[0].textContent = `depth ${near.toFixed(2)}${unit}`;
  card.depthScale[1].textContent = `${far.toFixed(2)}${unit}`;
  card.confidence.hidden = !view.buffers.confidence;
  if (view.buffers.confidence) {
    const shown = confidencePixels(view);
    show(card.confidence, shown.pixels, width, height);
    card.confidenceScale[0].textContent = `confidence ${shown.low.toFixed(1)}`;
    card.confidenceScale[1].textContent = shown.high.toFixed(1);
    limitConfidence(shown.high);
  }
  card.stamps = [...card.stamps.slice(-9), view.stamp_s];
  const span = view.stamp_s - card.stamps[0];
  card.rate.textContent = span > 0 ? `${((card.stamps.length - 1) / span).toFixed(1)} Hz` : '';
}

// The slider of confidence goes as far as there is any, in steps that grow with it.
let highest = 2;

function limitConfidence(high) {
  if (high <= highest || !stage) return;
  highest = high;
  stage.look.highConfidence = high;
  showConfidence();
}

function showConfidence() {
  const threshold = highest ** Number($('confidence').value);
  $('confidence-value').textContent = threshold.toFixed(threshold < 10 ? 1 : 0);
  if (stage) stage.look.minConfidence = threshold;
}

function showStatus(status) {
  const state = status.is_adrift ? 'ADRIFT' : status.state;
  $('state').textContent = state.toLowerCase();
  $('state').className = `chip ${{ TRACKING: 'good', LOST: 'bad', ADRIFT: 'warn' }[state] ?? ''}`;
  const drops = Object.entries(status.drops).map(([reason, count]) => `${reason} ${count}`);
  const scale = status.is_metric
    ? `${status.scale_source}${status.scale_spread === null ? '' : ` ± ${(100 * status.scale_spread).toFixed(1)} %`}`
    : 'not known';
  const rows = [
    ['latency, median / 95 %', `${ms(status.latency_p50_ms)} / ${ms(status.latency_p95_ms)}`],
    ['frames', `${status.frames_published}`],
    ['dropped', `${status.frames_dropped}`, status.frames_dropped ? 'warn' : '', drops.join(', ')],
    ['keyframes', `${status.keyframes}`],
    ['loops closed', `${status.loops_closed}`],
    ['metres from', scale, status.is_metric ? '' : 'warn', `scale ${status.scale}`],
    ['model', status.model.split('/').pop(), '', `${status.model}, ${status.licence}`],
  ];
  if (status.gpu_memory_mib > 0) rows.push(['GPU memory', `${Math.round(status.gpu_memory_mib)} MiB`]);
  $('status').replaceChildren(
    ...rows.map(([name, value, mark, more]) => {
      const row = document.createElement('div');
      row.append(Object.assign(document.createElement('dt'), { textContent: name }));
      row.append(Object.assign(document.createElement('dd'), { textContent: value, className: mark ?? '' }));
      row.title = more ?? '';
      return row;
    }),
  );
}

const ms = (value) => (value === null ? '–' : `${Math.round(value)} ms`);

function bindControls() {
  $('modes').addEventListener('change', ({ target }) => change(() => (stage.look.mode = target.value)));
  $('switches').addEventListener('change', ({ target }) => {
    change(() => (stage.shown[target.name] = target.checked));
  });
  $('size').addEventListener('input', ({ target }) => {
    $('size-value').textContent = Number(target.value).toFixed(1);
    change(() => (stage.look.pointScale = Number(target.value)));
  });
  $('confidence').addEventListener('input', () => change(showConfidence));
  $('fit').addEventListener('click', () => stage?.fit());
  $('fold').addEventListener('click', fold);
  document.addEventListener('keydown', (event) => {
    if (event.target.matches('input, select, button') || event.ctrlKey || event.metaKey) return;
    if (event.key === 'h') fold();
    else if (event.key === 'f') stage?.fit();
    else if (event.key === ' ' && model.player) $('play').click();
    else return;
    event.preventDefault();
  });
}

function change(what) {
  if (!stage) return;
  what();
  stage.ask();
}

function fold() {
  const isFolded = document.body.classList.toggle('folded');
  $('fold').textContent = isFolded ? 'show' : 'hide';
}

function bindPlayer() {
  $('play').addEventListener('click', () => command({ playing: !model.player?.playing }));
  $('speed').addEventListener('change', ({ target }) => command({ speed: Number(target.value) }));
  $('seek').addEventListener('input', ({ target }) => {
    isSeeking = true;
    $('now').textContent = clock(Number(target.value));
  });
  $('seek').addEventListener('change', ({ target }) => {
    isSeeking = false;
    command({ seek: Number(target.value) });
  });
}

function showPlayer() {
  const { playing, position_s: position, duration_s: duration, speed } = model.player;
  const since = playing ? ((performance.now() - heardAt) / 1000) * speed : 0;
  const now = Math.min(position + since, duration);
  $('play').textContent = playing ? '❚❚' : '▶';
  $('end').textContent = clock(duration);
  $('seek').max = duration;
  $('speed').value = String(speed);
  if (isSeeking) return;
  $('seek').value = now;
  $('now').textContent = clock(now);
}

function clock(seconds) {
  const rest = (seconds % 60).toFixed(1).padStart(4, '0');
  return `${Math.floor(seconds / 60)}:${rest}`;
}

start();
