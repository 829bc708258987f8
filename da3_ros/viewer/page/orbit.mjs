// An eye on a sphere around what it looks at: drag turns, Shift or the right button moves, the wheel
// and two fingers come nearer.

import { add, cross, dot, lookAt, normalised, perspective, transform } from './matrix.mjs';

const FOV_Y = (50 * Math.PI) / 180;
const MAX_PITCH = 1.5;
const TURN = 0.006;
// Shares of a picture that what is looked at may fill.
const WIDE = 0.7;
const HIGH = 0.78;

export class Orbit {
  constructor() {
    this.up = [0, -1, 0];
    this.target = [0, 0, 0];
    this.distance = 3;
    this.yaw = 0;
    this.pitch = 0.4;
  }

  // Looks at the points, from behind somebody who looks along forward, so that all of them are in a
  // picture of an aspect, with room around them for frusta and panels.
  fit({ centre, radius, points, eyes }, up, forward, aspect) {
    this.up = up;
    this.target = centre;
    this.distance = radius;
    const [right, ahead] = this.level();
    this.yaw = Math.atan2(-dot(forward, ahead), -dot(forward, right));
    this.pitch = 0.5;
    const seen = [...points, ...eyes].map((point) => transform(lookAt(this.eye(), centre, up), point));
    const height = Math.tan(FOV_Y / 2);
    // A point is in the picture when it is less than tangent times its distance off the middle: on
    // either side, one point decides, and the eye belongs in the middle of the two.
    const [across, upward] = [aspect * height * WIDE, height * HIGH].map((tangent, i) => {
      const high = Math.max(...seen.map((p) => p[i] + tangent * (p[2] + radius)));
      const low = Math.max(...seen.map((p) => -p[i] + tangent * (p[2] + radius)));
      return { middle: (high - low) / 2, distance: (high + low) / 2 / tangent };
    });
    this.move(-across.middle / (2 * radius * height), upward.middle / (2 * radius * height));
    this.distance = Math.max(across.distance, upward.distance, 0.3 * radius);
  }

  // Returns two directions that are level, at right angles to each other and to up.
  level() {
    const start = Math.abs(this.up[2]) < 0.9 ? [0, 0, 1] : [1, 0, 0];
    const ahead = normalised(add(start, this.up, -dot(start, this.up)));
    return [cross(ahead, this.up), ahead];
  }

  eye() {
    const [right, ahead] = this.level();
    const flat = add(right.map((x) => x * Math.cos(this.yaw)), ahead, Math.sin(this.yaw));
    const out = add(flat.map((x) => x * Math.cos(this.pitch)), this.up, Math.sin(this.pitch));
    return add(this.target, out, this.distance);
  }

  // Returns what the renderer draws with.
  camera(aspect) {
    const [near, far] = [this.distance / 200, this.distance * 30];
    return {
      fovY: FOV_Y,
      near,
      far,
      eyeFromMap: lookAt(this.eye(), this.target, this.up),
      clipFromEye: perspective(FOV_Y, aspect, near, far),
    };
  }

  turn(dx, dy) {
    this.yaw -= TURN * dx;
    this.pitch = Math.min(MAX_PITCH, Math.max(-MAX_PITCH, this.pitch + TURN * dy));
  }

  // Moves what is looked at with the pointer; dx and dy are shares of the height of the picture.
  move(dx, dy) {
    const back = normalised(add(this.eye(), this.target, -1));
    const right = normalised(cross(this.up, back));
    const above = cross(back, right);
    const size = 2 * this.distance * Math.tan(FOV_Y / 2);
    this.target = add(add(this.target, right, -dx * size), above, dy * size);
  }

  zoom(factor) {
    this.distance = Math.min(1e5, Math.max(1e-3, this.distance * factor));
  }

  // Listens to a canvas; onChange is called after every change by hand.
  listen(canvas, onChange) {
    const pointers = new Map();
    const spread = () => {
      const [a, b] = [...pointers.values()];
      return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
    };
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    });
    for (const name of ['pointerup', 'pointercancel']) {
      canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
    }
    canvas.addEventListener('pointermove', (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      const before = pointers.size === 2 ? spread() : null;
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
      if (before) {
        const after = spread();
        this.zoom(before.apart / Math.max(after.apart, 1));
        this.move((after.x - before.x) / canvas.clientHeight, (after.y - before.y) / canvas.clientHeight);
      } else if (event.shiftKey || event.buttons & 6) {
        this.move(dx / canvas.clientHeight, dy / canvas.clientHeight);
      } else {
        this.turn(dx, dy);
      }
      onChange();
    });
    canvas.addEventListener('contextmenu', (event) => event.preventDefault());
    canvas.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(Math.min(Math.max(event.deltaY, -200), 200) * 0.0015));
        onChange();
      },
      { passive: false },
    );
  }
}
