// The scene as the packets tell it; draws nothing. Keyframes' clouds stay as their cameras saw
// them, so a keyframe that moves takes its cloud along.

import { add, axis, dot, fromRows, identity, length, normalised, transform, translation } from './matrix.mjs';
import { as16, asFloats, depthOf } from './packets.mjs';

// An up direction so near to an axis of the map is that axis.
const SNAP = Math.cos((25 * Math.PI) / 180);
const SAMPLES = 400;

export class Model {
  constructor() {
    this.clear();
  }

  clear() {
    this.hello = null;
    this.clouds = new Map(); // keyframe: its cloud
    this.keyframes = new Map(); // keyframe: { camera, mapFromCamera, scale }
    this.views = new Map(); // camera: its newest view
    this.trail = [];
    this.map = null;
    this.status = null;
    this.player = null;
    this.notice = '';
    this.scales = [];
  }

  // Takes a packet; returns its kind.
  apply(packet) {
    if (packet.kind === 'hello') this.clear();
    const take = {
      hello: () => (this.hello = packet),
      view: () => this.views.set(packet.camera, placed(packet)),
      cloud: () => this.clouds.set(packet.key, placed(packet)),
      keyframes: () => this.takeKeyframes(packet.items),
      trail: () => (this.trail = trailOf(packet)),
      map: () => (this.map = mapOf(packet)),
      status: () => (this.status = packet.status),
      player: () => (this.player = packet),
      notice: () => (this.notice = packet.text),
    }[packet.kind];
    if (take) take();
    return packet.kind;
  }

  takeKeyframes(items) {
    this.keyframes = new Map(
      items.map(({ key, camera, pose, scale }) => [key, { camera, scale, mapFromCamera: fromRows(pose) }]),
    );
    for (const key of this.clouds.keys()) if (!this.keyframes.has(key)) this.clouds.delete(key);
  }

  // Yields what is to be drawn of keyframes: [key, cloud, mapFromCamera, scale].
  *placedClouds() {
    let index = 0;
    for (const [key, { mapFromCamera, scale }] of this.keyframes) {
      const cloud = this.clouds.get(key);
      if (cloud) yield { key, cloud, mapFromCamera, scale, index };
      index++;
    }
  }

  // Returns the way of each camera: the names and the points, by the poses of now.
  ways() {
    const ways = new Map();
    for (const { camera, anchor, position } of this.trail) {
      const keyframe = this.keyframes.get(anchor);
      if (anchor && !keyframe) continue; // of a map that is gone
      if (!ways.has(camera)) ways.set(camera, []);
      const at = keyframe ? transform(keyframe.mapFromCamera, position) : position;
      ways.get(camera).push(at);
    }
    if (ways.size) return ways;
    for (const { camera, mapFromCamera } of this.keyframes.values()) {
      if (!ways.has(camera)) ways.set(camera, []);
      ways.get(camera).push(translation(mapFromCamera));
    }
    return ways;
  }

  cameras() {
    return [...this.views.keys()].sort();
  }

  poses() {
    const all = [...this.keyframes.values()].map((k) => k.mapFromCamera);
    for (const view of this.views.values()) if (view.mapFromCamera) all.push(view.mapFromCamera);
    return all;
  }

  // Returns the direction that is up for the cameras, on average.
  up() {
    let sum = [0, 0, 0];
    for (const pose of this.poses()) sum = add(sum, axis(pose, 1), -1);
    const mean = length(sum) > 1e-6 ? normalised(sum) : [0, -1, 0];
    for (let i = 0; i < 3; i++) {
      if (Math.abs(mean[i]) > SNAP) return [0, 1, 2].map((j) => (i === j ? Math.sign(mean[i]) : 0));
    }
    return mean;
  }

  // Returns points that stand for the whole scene, in the map.
  sample() {
    const points = [];
    const clouds = [...this.placedClouds()];
    for (const { cloud, mapFromCamera, scale } of clouds) {
      pushSample(points, cloud, mapFromCamera, scale, Math.max(20, SAMPLES / clouds.length));
    }
    if (this.map) {
      const step = 3 * Math.ceil(this.map.count / SAMPLES);
      const { positions } = this.map;
      for (let i = 0; i + 2 < positions.length; i += step) points.push([...positions.slice(i, i + 3)]);
    }
    if (!points.length) {
      for (const view of this.views.values()) {
        pushSample(points, view, view.mapFromCamera ?? identity(), 1, SAMPLES);
      }
    }
    for (const pose of this.poses()) points.push(translation(pose));
    return points;
  }

  // Returns { centre, radius, ground } of most of the scene, points of it, and where the cameras
  // are; ground is its height along up.
  bounds() {
    const points = this.sample();
    if (!points.length) return { centre: [0, 0, 0], radius: 1, ground: 0, points, eyes: [] };
    const centre = [0, 1, 2].map((i) => {
      const sorted = points.map((p) => p[i]).sort((a, b) => a - b);
      return (at(sorted, 0.05) + at(sorted, 0.95)) / 2;
    });
    const up = this.up();
    const far = points.map((p) => length(add(p, centre, -1))).sort((a, b) => a - b);
    const heights = points.map((p) => dot(p, up)).sort((a, b) => a - b);
    const radius = Math.max(at(far, 0.9), 1e-3);
    const isNear = (point) => length(add(point, centre, -1)) < 1.6 * radius;
    const seen = points.filter(isNear);
    const eyes = this.poses().map(translation).filter(isNear);
    return { centre, radius, ground: at(heights, 0.02), points: seen, eyes };
  }
}

const at = (sorted, share) => sorted[Math.round(share * (sorted.length - 1))];

function placed(packet) {
  return { ...packet, mapFromCamera: packet.pose ? fromRows(packet.pose) : null };
}

function trailOf({ cameras, anchors, buffers }) {
  const numbers = asFloats(buffers.points);
  const trail = [];
  for (let i = 0; i < numbers.length; i += 5) {
    const position = [numbers[i + 2], numbers[i + 3], numbers[i + 4]];
    trail.push({ camera: cameras[numbers[i]], anchor: anchors[numbers[i + 1]], position });
  }
  return trail;
}

function mapOf({ count, buffers }) {
  return { count, positions: asFloats(buffers.points), colours: buffers.colours };
}

function pushSample(points, cloud, mapFromCamera, scale, count) {
  const depth = as16(cloud.buffers.depth);
  const [fx, fy, cx, cy] = cloud.k;
  const step = Math.max(1, Math.floor(depth.length / count));
  for (let i = step >> 1; i < depth.length; i += step) {
    if (!(depth[i] & 1)) continue;
    const z = depthOf(depth[i], cloud.depth_unit) * scale;
    const [u, v] = [i % cloud.width, Math.floor(i / cloud.width)];
    points.push(transform(mapFromCamera, [((u - cx) / fx) * z, ((v - cy) / fy) * z, z]));
  }
}
