// Draws clouds, lines and pictures with WebGL 2. Nothing of it knows what they mean.

import { as16 } from './packets.mjs';
import { RAMP_NAMES, rampTable } from './ramps.mjs';
import { DEPTH_CLOUD, LINES, PICTURE, POINT_CLOUD, SHADING } from './shaders.mjs';

export const MODES = ['colour', 'depth', 'confidence', 'keyframe'];
// As many points as a notebook draws at once without a pause; of more, every n-th.
const MAX_POINTS = 4e6;
const FLOATS_PER_LINE = 10;

export class Renderer {
  // Throws an Error when the browser has no WebGL 2.
  constructor(canvas) {
    this.canvas = canvas;
    const gl = canvas.getContext('webgl2', { antialias: true, alpha: false, preserveDrawingBuffer: true });
    if (!gl) throw new Error('no WebGL 2');
    this.gl = gl;
    this.programs = Object.fromEntries(
      Object.entries({ DEPTH_CLOUD, POINT_CLOUD, SHADING, LINES, PICTURE }).map(([name, source]) => [
        name,
        makeProgram(gl, source),
      ]),
    );
    this.nothing = gl.createVertexArray();
    this.ramps = makeRamps(gl);
    this.blank = makeTexture(gl, gl.R8UI, 1, 1, gl.RED_INTEGER, gl.UNSIGNED_BYTE, new Uint8Array([255]));
    this.grey = makeTexture(gl, gl.RGBA, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array([150, 150, 150, 255]));
    this.lines = makeLines(gl);
    this.target = null;
  }

  // Returns a cloud on the GPU; its colours come when the picture is decoded, then onReady is called.
  upload(cloud, onReady) {
    const { gl } = this;
    const { width, height, buffers } = cloud;
    const uploaded = {
      depth: makeTexture(gl, gl.R16UI, width, height, gl.RED_INTEGER, gl.UNSIGNED_SHORT, as16(buffers.depth)),
      confidence: buffers.confidence
        ? makeTexture(gl, gl.R8UI, width, height, gl.RED_INTEGER, gl.UNSIGNED_BYTE, buffers.confidence)
        : null,
      colour: null,
      isFreed: false,
    };
    if (buffers.jpeg) {
      createImageBitmap(new Blob([buffers.jpeg], { type: 'image/jpeg' })).then((picture) => {
        if (uploaded.isFreed) return;
        uploaded.colour = makeTexture(gl, gl.RGBA, width, height, gl.RGBA, gl.UNSIGNED_BYTE, picture);
        onReady();
      });
    }
    return uploaded;
  }

  free(uploaded) {
    uploaded.isFreed = true;
    for (const name of ['depth', 'confidence', 'colour']) this.gl.deleteTexture(uploaded[name]);
  }

  uploadPoints({ positions, colours, count }) {
    const { gl } = this;
    const array = gl.createVertexArray();
    const buffers = [positions, colours].map((data, place) => {
      const buffer = gl.createBuffer();
      gl.bindVertexArray(array);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(place);
      if (place) gl.vertexAttribPointer(1, 4, gl.UNSIGNED_BYTE, true, 0, 0);
      else gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
      return buffer;
    });
    gl.bindVertexArray(null);
    return { array, buffers, count };
  }

  freePoints({ array, buffers }) {
    this.gl.deleteVertexArray(array);
    buffers.forEach((buffer) => this.gl.deleteBuffer(buffer));
  }

  // Draws one picture; what each field is stands in stage.mjs, which makes them.
  draw({ eye, clouds, points, lines, pictures, look }) {
    const { gl } = this;
    const [width, height] = this.resize();
    this.eye = eye;
    this.pixelsPerRadian = height / 2 / Math.tan(eye.fovY / 2);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.buffer);
    gl.viewport(0, 0, width, height);
    gl.enable(gl.DEPTH_TEST);
    gl.disable(gl.BLEND);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    this.drawClouds(clouds, look);
    if (points) this.drawPoints(points, look);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.clear(gl.DEPTH_BUFFER_BIT);
    this.shade(look);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    for (const picture of pictures) this.drawPicture(picture);
    for (const set of lines) this.drawLines(set, [width, height]);
  }

  resize() {
    const { gl, canvas } = this;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (this.target && canvas.width === width && canvas.height === height) return [width, height];
    canvas.width = width;
    canvas.height = height;
    if (this.target) {
      gl.deleteFramebuffer(this.target.buffer);
      gl.deleteTexture(this.target.colour);
      gl.deleteTexture(this.target.depth);
    }
    const colour = makeTexture(gl, gl.RGBA8, width, height, gl.RGBA, gl.UNSIGNED_BYTE, null);
    const depth = makeTexture(gl, gl.DEPTH_COMPONENT24, width, height, gl.DEPTH_COMPONENT, gl.UNSIGNED_INT, null);
    const buffer = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, buffer);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, colour, 0);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, depth, 0);
    this.target = { buffer, colour, depth };
    return [width, height];
  }

  drawClouds(clouds, look) {
    const { gl } = this;
    const total = clouds.reduce((sum, { cloud }) => sum + cloud.width * cloud.height, 0);
    const every = Math.max(1, Math.ceil(total / MAX_POINTS));
    const set = this.use('DEPTH_CLOUD');
    this.bind(2, this.ramps);
    set.int('depth', 0), set.int('confidence', 1), set.int('ramps', 2), set.int('colour', 3);
    set.float('pointScale', look.pointScale);
    set.float('minConfidence', look.minStep);
    set.float('highConfidence', look.highStep);
    set.int('mode', MODES.indexOf(look.mode));
    set.vec2('depthRange', look.depthRange);
    set.int('every', every);
    gl.bindVertexArray(this.nothing);
    for (const { cloud, uploaded, mapFromCamera, scale, tint } of clouds) {
      this.bind(0, uploaded.depth);
      this.bind(1, uploaded.confidence ?? this.blank);
      this.bind(3, uploaded.colour ?? this.grey);
      set.int('width', cloud.width);
      set.vec4('k', cloud.k);
      set.vec3('tint', tint);
      set.float('unit', cloud.depth_unit * scale);
      set.int('hasColour', uploaded.colour ? 1 : 0);
      set.matrix('mapFromCamera', mapFromCamera);
      gl.drawArrays(gl.POINTS, 0, Math.floor((cloud.width * cloud.height) / every));
    }
  }

  drawPoints({ array, count, size }, look) {
    const set = this.use('POINT_CLOUD');
    set.float('size', size * look.pointScale);
    this.gl.bindVertexArray(array);
    this.gl.drawArrays(this.gl.POINTS, 0, count);
  }

  shade(look) {
    const { gl } = this;
    const set = this.use('SHADING');
    this.bind(0, this.target.colour);
    this.bind(1, this.target.depth);
    set.int('colour', 0), set.int('depth', 1);
    set.vec2('nearFar', [this.eye.near, this.eye.far]);
    set.float('strength', look.shading);
    set.float('radius', Math.min(window.devicePixelRatio || 1, 2) * 1.3);
    set.vec3('above', look.background[0]);
    set.vec3('below', look.background[1]);
    gl.depthFunc(gl.ALWAYS);
    gl.bindVertexArray(this.nothing);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.depthFunc(gl.LEQUAL);
  }

  drawPicture({ cloud, uploaded, mapFromCamera, corners, distance }) {
    if (!uploaded.colour) return;
    const set = this.use('PICTURE');
    this.bind(0, uploaded.colour);
    set.int('colour', 0);
    set.vec4('corners', corners);
    set.float('distance', distance);
    set.matrix('mapFromCamera', mapFromCamera);
    this.gl.bindVertexArray(this.nothing);
    this.gl.drawArrays(this.gl.TRIANGLE_STRIP, 0, 4);
  }

  drawLines({ data, width }, viewport) {
    const { gl } = this;
    const set = this.use('LINES');
    set.vec2('viewport', viewport);
    set.float('width', width * Math.min(window.devicePixelRatio || 1, 2));
    set.float('near', this.eye.near);
    gl.bindVertexArray(this.lines.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.lines.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, data.length / FLOATS_PER_LINE);
  }

  bind(unit, texture) {
    this.gl.activeTexture(this.gl.TEXTURE0 + unit);
    this.gl.bindTexture(this.gl.TEXTURE_2D, texture);
  }

  // Uses a program; returns what sets its uniforms. Uniforms of the eye are set already.
  use(name) {
    const { gl } = this;
    const { program, places } = this.programs[name];
    gl.useProgram(program);
    const place = (uniform) => places[uniform] ?? null;
    const set = {
      int: (uniform, value) => gl.uniform1i(place(uniform), value),
      float: (uniform, value) => gl.uniform1f(place(uniform), value),
      vec2: (uniform, value) => gl.uniform2fv(place(uniform), value),
      vec3: (uniform, value) => gl.uniform3fv(place(uniform), value),
      vec4: (uniform, value) => gl.uniform4fv(place(uniform), value),
      matrix: (uniform, value) => gl.uniformMatrix4fv(place(uniform), false, new Float32Array(value)),
    };
    set.matrix('eyeFromMap', this.eye.eyeFromMap);
    set.matrix('clipFromEye', this.eye.clipFromEye);
    set.float('pixelsPerRadian', this.pixelsPerRadian);
    return set;
  }
}

function makeProgram(gl, { vertex, fragment }) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    const logs = gl.getAttachedShaders(program).map((shader) => gl.getShaderInfoLog(shader));
    throw new Error(`a shader does not compile: ${logs.join(' ')} ${gl.getProgramInfoLog(program)}`);
  }
  const places = {};
  for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
    const { name } = gl.getActiveUniform(program, i);
    places[name] = gl.getUniformLocation(program, name);
  }
  return { program, places };
}

function makeTexture(gl, inner, width, height, format, type, data) {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.texImage2D(gl.TEXTURE_2D, 0, inner, width, height, 0, format, type, data);
  const filter = inner === gl.RGBA ? gl.LINEAR : gl.NEAREST;
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, filter);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, filter);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  return texture;
}

function makeRamps(gl) {
  const rows = new Uint8Array(256 * 3 * RAMP_NAMES.length);
  RAMP_NAMES.forEach((name, row) => rows.set(rampTable(name), 256 * 3 * row));
  return makeTexture(gl, gl.RGB, 256, RAMP_NAMES.length, gl.RGB, gl.UNSIGNED_BYTE, rows);
}

function makeLines(gl) {
  const array = gl.createVertexArray();
  const buffer = gl.createBuffer();
  gl.bindVertexArray(array);
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  [[3, 0], [3, 12], [4, 24]].forEach(([size, offset], place) => {
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, gl.FLOAT, false, 4 * FLOATS_PER_LINE, offset);
    gl.vertexAttribDivisor(place, 1);
  });
  gl.bindVertexArray(null);
  return { array, buffer };
}
