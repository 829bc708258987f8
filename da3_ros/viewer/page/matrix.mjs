// Rigid transforms and projections. Matrices are Float64Array(16) by columns, as WebGL wants them;
// b_from_a transforms points of a into b, and names cancel when they are multiplied.

export function identity() {
  return new Float64Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
}

// Returns a matrix that came row by row, as poses do in packets.
export function fromRows(rows) {
  const m = new Float64Array(16);
  for (let r = 0; r < 4; r++) for (let c = 0; c < 4; c++) m[4 * c + r] = rows[4 * r + c];
  return m;
}

export function multiply(a, b) {
  const m = new Float64Array(16);
  for (let c = 0; c < 4; c++) {
    for (let r = 0; r < 4; r++) {
      for (let k = 0; k < 4; k++) m[4 * c + r] += a[4 * k + r] * b[4 * c + k];
    }
  }
  return m;
}

export function transform(m, [x, y, z]) {
  return [0, 1, 2].map((r) => m[r] * x + m[4 + r] * y + m[8 + r] * z + m[12 + r]);
}

export function translation(m) {
  return [m[12], m[13], m[14]];
}

// Returns one of the axes of a frame: 0 right, 1 down, 2 forward for a camera.
export function axis(m, i) {
  return [m[4 * i], m[4 * i + 1], m[4 * i + 2]];
}

export const add = (a, b, factor = 1) => a.map((x, i) => x + factor * b[i]);
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const length = (a) => Math.sqrt(dot(a, a));
export const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

export function normalised(a) {
  const norm = length(a);
  return norm > 0 ? a.map((x) => x / norm) : [0, 0, 0];
}

// Returns eye_from_world of somebody at eye who looks at target: x right, y up, z backward.
export function lookAt(eye, target, up) {
  const back = normalised(add(eye, target, -1));
  const right = normalised(cross(up, back));
  const above = cross(back, right);
  return new Float64Array([
    right[0], above[0], back[0], 0,
    right[1], above[1], back[1], 0,
    right[2], above[2], back[2], 0,
    -dot(right, eye), -dot(above, eye), -dot(back, eye), 1,
  ]);
}

export function perspective(fovY, aspect, near, far) {
  const f = 1 / Math.tan(fovY / 2);
  const m = new Float64Array(16);
  m[0] = f / aspect;
  m[5] = f;
  m[10] = (far + near) / (near - far);
  m[11] = -1;
  m[14] = (2 * far * near) / (near - far);
  return m;
}
