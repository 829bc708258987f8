// A model on a canvas: what of it is shown, and how; draws when something changed.

import { add, axis, dot, identity, transform, translation } from './matrix.mjs';
import { confidenceStep } from './packets.mjs';
import { Orbit } from './orbit.mjs';
import { hue } from './ramps.mjs';
import { Renderer } from './renderer.mjs';

const KEYFRAME_SIZE = 0.055;
const VIEW_SIZE = 0.13;
const GRID_LINES = 24;

export class Stage {
  // Throws an Error when the browser has no WebGL 2.
  constructor(canvas, model, background = [[0.1, 0.12, 0.16], [0.035, 0.04, 0.055]]) {
    this.canvas = canvas;
    this.model = model;
    this.renderer = new Renderer(canvas);
    this.orbit = new Orbit();
    this.look = { mode: 'colour', pointScale: 1.9, minConfidence: 1, highConfidence: 8, shading: 1.6 };
    this.look.background = background;
    this.shown = { keyframes: true, live: true, map: null, frusta: true, path: true, grid: true, follow: false };
    this.uploads = new Map();
    this.points = null;
    this.bounds = null;
    this.isTouched = false;
    this.isAsked = false;
    this.framesDrawn = 0;
    this.orbit.listen(canvas, () => {
      this.isTouched = true;
      this.ask();
    });
    canvas.addEventListener('dblclick', () => this.fit());
    new ResizeObserver(() => this.ask()).observe(canvas);
  }

  // Draws as soon as the browser is ready to.
  ask() {
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      this.draw();
    });
  }

  // Looks at the whole scene, and again when it grows, until somebody looks elsewhere.
  fit() {
    this.isTouched = false;
    this.aim();
    this.ask();
  }

  // Says that the model changed.
  update(kind) {
    if (['keyframes', 'cloud', 'map', 'hello'].includes(kind)) this.bounds = null;
    this.ask();
  }

  aim() {
    this.bounds ??= this.model.bounds();
    const poses = this.model.poses();
    if (!this.bounds.points.length) return;
    const ahead = poses.reduce((sum, pose) => add(sum, axis(pose, 2)), [0, 0, 1e-6]);
    if (!this.isTouched) this.orbit.fit(this.bounds, this.model.up(), ahead, this.aspect());
    if (this.shown.follow && poses.length) this.orbit.target = translation(poses[poses.length - 1]);
  }

  aspect() {
    return Math.max(1, this.canvas.clientWidth) / Math.max(1, this.canvas.clientHeight);
  }

  draw() {
    this.aim();
    const { look, shown } = this;
    const clouds = this.clouds();
    this.forget();
    const hasMap = this.isMapShown();
    look.minStep = confidenceStep(look.minConfidence);
    look.highStep = confidenceStep(look.highConfidence);
    look.depthRange = [this.bounds.radius * 0.15, this.bounds.radius * 2.5];
    this.renderer.draw({
      eye: this.orbit.camera(this.aspect()),
      clouds,
      points: hasMap ? this.uploadedMap() : null,
      lines: this.lines(),
      pictures: shown.frusta ? this.pictures() : [],
      look,
    });
    this.framesDrawn++;
  }

  // Whoever came late has few of the keyframes' clouds: then the map's points stand for them.
  isMapShown() {
    const { model, shown } = this;
    const isAuto = shown.map === null && model.clouds.size < 0.5 * model.keyframes.size;
    return Boolean(model.map) && (shown.map ?? isAuto);
  }

  clouds() {
    const { model, shown } = this;
    const clouds = [];
    if (shown.keyframes) {
      for (const { cloud, mapFromCamera, scale, index } of model.placedClouds()) {
        clouds.push({ cloud, mapFromCamera, scale, tint: hue(index), uploaded: this.upload(cloud) });
      }
    }
    if (shown.live) {
      for (const view of model.views.values()) {
        const mapFromCamera = view.mapFromCamera ?? identity();
        clouds.push({ cloud: view, mapFromCamera, scale: 1, tint: [1, 1, 1], uploaded: this.upload(view) });
      }
    }
    return clouds;
  }

  upload(cloud) {
    let entry = this.uploads.get(cloud);
    if (!entry) {
      entry = this.renderer.upload(cloud, () => this.ask());
      this.uploads.set(cloud, entry);
    }
    return entry;
  }

  // Frees what the model has no more.
  forget() {
    const kept = new Set([...this.model.clouds.values(), ...this.model.views.values()]);
    for (const [cloud, uploaded] of this.uploads) {
      if (kept.has(cloud)) continue;
      this.renderer.free(uploaded);
      this.uploads.delete(cloud);
    }
  }

  uploadedMap() {
    const { map } = this.model;
    if (this.points?.map !== map) {
      if (this.points) this.renderer.freePoints(this.points);
      this.points = { map, ...this.renderer.uploadPoints(map) };
      this.points.size = (1.2 * this.bounds.radius) / Math.sqrt(map.count);
    }
    return this.points;
  }

  pictures() {
    return this.frusta()
      .filter(({ view }) => view)
      .map(({ view, mapFromCamera, distance }) => ({
        cloud: view,
        uploaded: this.upload(view),
        mapFromCamera,
        distance,
        corners: cornersOf(view),
      }));
  }

  // Yields what has a frustum: keyframes, small, and the newest views.
  frusta() {
    const found = [];
    const { radius } = this.bounds;
    for (const [key, { camera, mapFromCamera }] of this.model.keyframes) {
      const like = this.model.clouds.get(key) ?? this.model.views.get(camera);
      found.push({ like, mapFromCamera, distance: KEYFRAME_SIZE * radius, colour: [0.95, 0.78, 0.3, 0.9] });
    }
    for (const view of this.model.views.values()) {
      if (!view.mapFromCamera) continue;
      const shape = { like: view, view, mapFromCamera: view.mapFromCamera };
      found.push({ ...shape, distance: VIEW_SIZE * radius, colour: [0.35, 0.85, 1, 1] });
    }
    return found;
  }

  lines() {
    const sets = [];
    if (this.shown.grid) sets.push({ data: this.grid(), width: 1 });
    const thin = [];
    if (this.shown.frusta) for (const frustum of this.frusta()) pushFrustum(thin, frustum);
    sets.push({ data: new Float32Array(thin), width: 1.5 });
    if (this.shown.path) {
      const path = [];
      let index = 0;
      for (const way of this.model.ways().values()) {
        const colour = index++ ? [...hue(index), 1] : [0.3, 0.95, 0.62, 1];
        for (let i = 1; i < way.length; i++) path.push(...way[i - 1], ...way[i], ...colour);
      }
      sets.push({ data: new Float32Array(path), width: 2.5 });
    }
    return sets.filter(({ data }) => data.length);
  }

  // A level grid under the scene, in steps of 1, 2 or 5 times a power of ten.
  grid() {
    const { centre, radius, ground } = this.bounds;
    const { up } = this.orbit;
    const [right, ahead] = this.orbit.level();
    const rough = (2 * radius) / 8;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5].reduce((best, n) => (n * power <= rough ? n : best), 1);
    const middle = add(centre, up, ground - dot(centre, up));
    const half = GRID_LINES / 2;
    const data = [];
    const snapped = [right, ahead].map((way) => Math.round(dot(middle, way) / step) * step - dot(middle, way));
    const origin = add(add(middle, right, snapped[0]), ahead, snapped[1]);
    for (let i = -half; i <= half; i++) {
      const colour = [0.6, 0.68, 0.8, 0.13 * (1 - Math.abs(i) / (half + 1)) + 0.02];
      for (const [across, along] of [[right, ahead], [ahead, right]]) {
        const base = add(origin, across, i * step);
        data.push(...add(base, along, -half * step), ...add(base, along, half * step), ...colour);
      }
    }
    return new Float32Array(data);
  }
}

// Returns the rays through the corners of a picture, x and y at depth 1: upper left, lower right.
function cornersOf({ k: [fx, fy, cx, cy], width, height }) {
  return [(-0.5 - cx) / fx, (-0.5 - cy) / fy, (width - 0.5 - cx) / fx, (height - 0.5 - cy) / fy];
}

function pushFrustum(lines, { like, mapFromCamera, distance, colour }) {
  const [left, top, right, bottom] = like ? cornersOf(like) : [-0.6, -0.45, 0.6, 0.45];
  const at = (x, y) => transform(mapFromCamera, [x * distance, y * distance, distance]);
  const corners = [at(left, top), at(right, top), at(right, bottom), at(left, bottom)];
  const centre = translation(mapFromCamera);
  const push = (a, b) => lines.push(...a, ...b, ...colour);
  corners.forEach((corner, i) => {
    push(centre, corner);
    push(corner, corners[(i + 1) % 4]);
  });
  const above = at((left + right) / 2, top - 0.25 * (bottom - top));
  push(at(left * 0.5, top), above);
  push(above, at(right * 0.5, top));
}
