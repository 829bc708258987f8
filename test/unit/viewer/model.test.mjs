// The page's scene and its eye, without a browser.

import assert from 'node:assert/strict';
import test from 'node:test';

import { axis, fromRows, lookAt, multiply, perspective, transform } from '../../../da3_ros/viewer/page/matrix.mjs';
import { Model } from '../../../da3_ros/viewer/page/model.mjs';
import { Orbit } from '../../../da3_ros/viewer/page/orbit.mjs';
import { depthPixels, range } from '../../../da3_ros/viewer/page/pictures.mjs';
import { hue, rampTable } from '../../../da3_ros/viewer/page/ramps.mjs';

const at = (x, y, z) => [1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z, 0, 0, 0, 1];
const near = (a, b, tolerance = 1e-6) =>
  a.forEach((x, i) => assert.ok(Math.abs(x - b[i]) < tolerance, `${a} is not ${b}`));
const bytesOf = (typed) => new Uint8Array(typed.buffer);

// A wall two units away, four by four pixels; the first pixel is no point.
function view(key, extra = {}) {
  const depth = new Uint16Array(16).fill((2000 << 1) | 1);
  depth[0] = 2000 << 1;
  const shape = { key, camera: '', width: 4, height: 4, k: [4, 4, 1.5, 1.5], depth_unit: 1e-3 };
  return { ...shape, pose: at(0, 0, 0), buffers: { depth: bytesOf(depth) }, ...extra };
}

function withKeyframes(items) {
  const model = new Model();
  model.apply({ kind: 'hello' });
  for (const { key } of items) model.apply({ ...view(key), kind: 'cloud' });
  model.apply({ kind: 'keyframes', items: items.map((item) => ({ camera: '', scale: 1, ...item })) });
  return model;
}

test('a keyframe that moves takes its cloud along', () => {
  const model = withKeyframes([{ key: 'a', pose: at(1, 2, 3) }]);
  const [before] = model.sample();
  model.apply({ kind: 'keyframes', items: [{ key: 'a', camera: '', scale: 1, pose: at(11, 2, 3) }] });
  const [after] = model.sample();
  near(after, [before[0] + 10, before[1], before[2]]);
});

test('the scale of the map resizes depth that was published before', () => {
  const model = withKeyframes([{ key: 'a', pose: at(0, 0, 0), scale: 3 }]);
  near([model.sample()[0][2]], [6]);
});

test('pixels that are no points stand for nothing', () => {
  const model = withKeyframes([{ key: 'a', pose: at(0, 0, 0) }]);
  assert.equal(model.sample().length, 15 + 1); // and the camera itself
});

test('a keyframe that is gone takes its cloud along, and its part of the way', () => {
  const model = withKeyframes([{ key: 'a', pose: at(0, 0, 0) }, { key: 'b', pose: at(5, 0, 0) }]);
  const points = new Float32Array([0, 0, 1, 0, 0, 0, 1, 2, 0, 0]);
  model.apply({ kind: 'trail', cameras: [''], anchors: ['a', 'b'], buffers: { points: bytesOf(points) } });
  assert.deepEqual(model.ways().get(''), [[1, 0, 0], [7, 0, 0]]);
  model.apply({ kind: 'keyframes', items: [{ key: 'b', camera: '', scale: 1, pose: at(6, 0, 0) }] });
  assert.deepEqual([...model.clouds.keys()], ['b']);
  assert.deepEqual(model.ways().get(''), [[8, 0, 0]]);
});

test('without a trail, keyframes are the way', () => {
  const model = withKeyframes([{ key: 'a', pose: at(0, 0, 0) }, { key: 'b', pose: at(5, 0, 0) }]);
  assert.deepEqual(model.ways().get(''), [[0, 0, 0], [5, 0, 0]]);
});

test('hello begins anew', () => {
  const model = withKeyframes([{ key: 'a', pose: at(0, 0, 0) }]);
  model.apply({ ...view('c'), kind: 'view' });
  model.apply({ kind: 'hello' });
  assert.equal(model.clouds.size + model.keyframes.size + model.views.size, 0);
});

test('an unknown packet changes nothing', () => {
  assert.equal(new Model().apply({ kind: 'news' }), 'news');
});

test('up is an axis of the map where the cameras nearly agree with it', () => {
  const tilted = fromRows([1, 0, 0, 0, 0, 0.97, -0.24, 0, 0, 0.24, 0.97, 0, 0, 0, 0, 1]);
  const model = new Model();
  model.keyframes.set('a', { camera: '', scale: 1, mapFromCamera: tilted });
  assert.deepEqual(model.up(), [0, -1, 0].map((x) => x + 0));
  const slanted = fromRows([1, 0, 0, 0, 0, 0.6, -0.8, 0, 0, 0.8, 0.6, 0, 0, 0, 0, 1]);
  model.keyframes.set('a', { camera: '', scale: 1, mapFromCamera: slanted });
  near(model.up(), [0, -0.6, -0.8]);
});

test('bounds hold most of the scene', () => {
  const model = withKeyframes([{ key: 'a', pose: at(100, 0, 0) }]);
  const { centre, radius } = model.bounds();
  near(centre, [100, 0, 1], 1.1);
  assert.ok(radius > 0.5 && radius < 4, String(radius));
  assert.equal(new Model().bounds().radius, 1);
});

test('the eye stands behind whoever looks ahead, and what is up is up', () => {
  const orbit = new Orbit();
  const points = [[0, 0, 7], [0, 0, 3], [0, 2, 5], [0, -2, 5]];
  orbit.fit({ centre: [0, 0, 5], radius: 2, points, eyes: [] }, [0, -1, 0], [0, 0, 1], 1.5);
  const eye = orbit.eye();
  assert.ok(eye[2] < 5 && Math.abs(eye[0]) < 1e-9 && eye[1] < 0, String(eye));
  const { eyeFromMap, clipFromEye } = orbit.camera(1.5);
  const onScreen = (point) => {
    const [x, y, z] = transform(eyeFromMap, point);
    assert.ok(z < 0);
    return [(clipFromEye[0] * x) / -z, (clipFromEye[5] * y) / -z];
  };
  near(onScreen(orbit.target), [0, 0]);
  assert.ok(onScreen([0, -1, 5])[1] > onScreen([0, 1, 5])[1], 'the map has y down');
  assert.ok(onScreen([1, 0, 5])[0] > 0, 'right is right for somebody behind the camera');
});

test('all of a scene is in the picture, and fills it', () => {
  for (const aspect of [0.5, 1.5, 3]) {
    const orbit = new Orbit();
    const points = [[-3, 0, 2], [5, 0.5, 9], [0, 2, 5], [1, -4, 4]];
    const eyes = [[2, 0, -1]];
    orbit.fit({ centre: [0, 0, 4], radius: 5, points, eyes }, [0, -1, 0], [0, 0, 1], aspect);
    const { eyeFromMap, clipFromEye } = orbit.camera(aspect);
    const edges = [...points, ...eyes].map((point) => {
      const [x, y, z] = transform(eyeFromMap, point);
      return [(clipFromEye[0] * x) / -z, (clipFromEye[5] * y) / -z];
    });
    const most = [0, 1].map((i) => Math.max(...edges.map((edge) => Math.abs(edge[i]))));
    assert.ok(most[0] < 0.701 && most[1] < 0.781, String(most));
    assert.ok(most[0] > 0.69 || most[1] > 0.77, String(most));
  }
});

test('moving keeps what is under the pointer there', () => {
  const orbit = new Orbit();
  orbit.fit({ centre: [0, 0, 0], radius: 1, points: [[1, 0, 0]], eyes: [] }, [0, 0, 1], [1, 0, 0], 1);
  const before = orbit.camera(1).eyeFromMap;
  orbit.move(0.25, 0);
  const after = orbit.camera(1).eyeFromMap;
  const shift = transform(after, [0, 0, 0])[0] - transform(before, [0, 0, 0])[0];
  near([shift], [0.25 * 2 * orbit.distance * Math.tan((25 * Math.PI) / 180)]);
});

test('lookAt is rigid and perspective maps near and far to the ends', () => {
  const m = lookAt([1, 2, 3], [4, 0, -1], [0, 1, 0]);
  near(transform(m, [1, 2, 3]), [0, 0, 0]);
  near([axis(m, 0).reduce((sum, x) => sum + x * x, 0)], [1]);
  const p = perspective(1, 1.5, 0.5, 20);
  for (const [z, ndc] of [[-0.5, -1], [-20, 1]]) near([(p[10] * z + p[14]) / -z], [ndc]);
  near([...multiply(m, fromRows(at(0, 0, 0)))], [...m]);
});

test('pictures: near is warm, far is cold, invalid is neither', () => {
  const depth = new Uint16Array([0, 1000 << 1, 4000 << 1, 2000 << 1]);
  const { pixels, near: low, far } = depthPixels({ width: 2, height: 2, depth_unit: 1e-3, buffers: { depth: bytesOf(depth) } });
  near([low, far], [1, 4]);
  assert.ok(pixels[4] > pixels[6], 'red where it is near');
  assert.ok(pixels[8] < pixels[10], 'blue where it is far');
  assert.deepEqual([...pixels.slice(0, 4)], [38, 43, 52, 255]);
  assert.deepEqual(range([], () => true), [0, 1]);
});

test('colour scales are whole, and neighbours in hue differ', () => {
  for (const name of ['depth', 'confidence']) assert.equal(rampTable(name).length, 768);
  for (let i = 0; i < 20; i++) {
    const apart = hue(i).reduce((sum, x, c) => sum + Math.abs(x - hue(i + 1)[c]), 0);
    assert.ok(apart > 0.3);
  }
});
