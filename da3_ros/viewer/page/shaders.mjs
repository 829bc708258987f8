// The programs of the renderer: clouds from depth images, clouds from points, lines, pictures in
// space, and the pass that shades points by their depth.

const HEAD = '#version 300 es\nprecision highp float;\nprecision highp int;\nprecision highp usampler2D;\n';

// A point for each pixel of a depth image: unprojected here, coloured as the mode says.
export const DEPTH_CLOUD = {
  vertex: `${HEAD}
uniform usampler2D depth, confidence;
uniform sampler2D colour, ramps;
uniform mat4 mapFromCamera, eyeFromMap, clipFromEye;
uniform vec4 k;
uniform vec3 tint;
uniform vec2 depthRange;
uniform float unit, pointScale, pixelsPerRadian, minConfidence, highConfidence;
uniform int width, every, mode;
uniform bool hasColour;
out vec3 shade;
void main() {
  int pixel = gl_VertexID * every;
  ivec2 at = ivec2(pixel % width, pixel / width);
  uint value = texelFetch(depth, at, 0).r;
  float step = float(texelFetch(confidence, at, 0).r);
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = 1.0;
  shade = vec3(0.0);
  if ((value & 1u) == 0u || step < minConfidence) return;
  float z = float(value >> 1u) * unit;
  vec4 inCamera = vec4((vec2(at) - k.zw) / k.xy * z, z, 1.0);
  vec4 inEye = eyeFromMap * (mapFromCamera * inCamera);
  gl_Position = clipFromEye * inEye;
  float size = z / k.x * sqrt(float(every)) * pointScale;
  gl_PointSize = clamp(size * pixelsPerRadian / max(-inEye.z, 1e-6), 1.0, 32.0);
  float far = clamp(log(z / depthRange.x) / log(depthRange.y / depthRange.x), 0.0, 1.0);
  if (mode == 0 && hasColour) shade = texelFetch(colour, at, 0).rgb;
  else if (mode == 2) shade = texture(ramps, vec2(step / highConfidence, 0.75)).rgb;
  else if (mode == 3) shade = tint * (0.75 + 0.25 * texelFetch(colour, at, 0).g);
  else shade = texture(ramps, vec2(far, 0.25)).rgb;
}`,
  fragment: `${HEAD}
in vec3 shade;
out vec4 pixel;
void main() {
  vec2 off = gl_PointCoord - 0.5;
  if (dot(off, off) > 0.25) discard;
  pixel = vec4(shade, 1.0);
}`,
};

export const POINT_CLOUD = {
  vertex: `${HEAD}
uniform mat4 eyeFromMap, clipFromEye;
uniform float size, pixelsPerRadian;
layout(location = 0) in vec3 position;
layout(location = 1) in vec4 colour;
out vec3 shade;
void main() {
  vec4 inEye = eyeFromMap * vec4(position, 1.0);
  gl_Position = clipFromEye * inEye;
  gl_PointSize = clamp(size * pixelsPerRadian / max(-inEye.z, 1e-6), 1.0, 32.0);
  shade = colour.rgb;
}`,
  fragment: DEPTH_CLOUD.fragment,
};

// What was drawn, over a background, darker where something near stands before something far:
// edges and folds show, without normals.
export const SHADING = {
  vertex: `${HEAD}
out vec2 at;
void main() {
  at = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0;
  gl_Position = vec4(at * 2.0 - 1.0, 0.0, 1.0);
}`,
  fragment: `${HEAD}
uniform sampler2D colour, depth;
uniform vec3 above, below;
uniform vec2 nearFar;
uniform float strength, radius;
in vec2 at;
out vec4 pixel;
float logDistance(ivec2 place) {
  float d = texelFetch(depth, clamp(place, ivec2(0), textureSize(depth, 0) - 1), 0).r;
  return log2(nearFar.x * nearFar.y / (nearFar.y - d * (nearFar.y - nearFar.x)));
}
void main() {
  ivec2 place = ivec2(gl_FragCoord.xy);
  float d = texelFetch(depth, place, 0).r;
  gl_FragDepth = d;
  if (d >= 1.0) {
    pixel = vec4(mix(below, above, smoothstep(0.0, 1.0, at.y)), 1.0);
    return;
  }
  float here = logDistance(place), sum = 0.0;
  for (int i = 0; i < 8; i++) {
    float angle = float(i) * 0.7853982;
    vec2 off = radius * (i % 2 == 0 ? 1.0 : 1.6) * vec2(cos(angle), sin(angle));
    sum += min(max(0.0, here - logDistance(place + ivec2(round(off)))), 0.25);
  }
  float light = exp(-strength * sum);
  pixel = vec4(texelFetch(colour, place, 0).rgb * light, 1.0);
}`,
};

// Lines as wide as asked for: a rectangle on the screen for each.
export const LINES = {
  vertex: `${HEAD}
uniform mat4 eyeFromMap, clipFromEye;
uniform vec2 viewport;
uniform float width, near;
layout(location = 0) in vec3 from;
layout(location = 1) in vec3 to;
layout(location = 2) in vec4 colour;
out vec4 shade;
void main() {
  vec4 a = eyeFromMap * vec4(from, 1.0), b = eyeFromMap * vec4(to, 1.0);
  shade = colour;
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  if (a.z > -near && b.z > -near) return;
  if (a.z > -near) a = mix(b, a, (-near - b.z) / (a.z - b.z));
  if (b.z > -near) b = mix(a, b, (-near - a.z) / (b.z - a.z));
  vec4 start = clipFromEye * a, end = clipFromEye * b;
  vec2 along = (end.xy / end.w - start.xy / start.w) * viewport;
  along = length(along) > 1e-6 ? normalize(along) : vec2(1.0, 0.0);
  vec4 here = gl_VertexID < 2 ? start : end;
  float side = gl_VertexID % 2 == 0 ? -1.0 : 1.0;
  here.xy += side * width * vec2(-along.y, along.x) / viewport * here.w;
  here.z -= 1e-4 * here.w;
  gl_Position = here;
}`,
  fragment: `${HEAD}
in vec4 shade;
out vec4 pixel;
void main() { pixel = shade; }`,
};

// The picture of a camera, in its place in the map.
export const PICTURE = {
  vertex: `${HEAD}
uniform mat4 mapFromCamera, eyeFromMap, clipFromEye;
uniform vec4 corners;
uniform float distance;
out vec2 at;
void main() {
  at = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  vec2 ray = mix(corners.xy, corners.zw, at);
  gl_Position = clipFromEye * (eyeFromMap * (mapFromCamera * vec4(ray * distance, distance, 1.0)));
}`,
  fragment: `${HEAD}
uniform sampler2D colour;
in vec2 at;
out vec4 pixel;
void main() { pixel = vec4(texture(colour, at).rgb, 0.92); }`,
};
