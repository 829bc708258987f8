// Reads packets: the length of a JSON text in four bytes, the text, then its buffers.

export const CONFIDENCE_HIGH = 64;

// Returns the JSON's fields, with buffers as typed views of the bytes: nothing is copied.
export function decode(data) {
  const size = new DataView(data).getUint32(0, true);
  const packet = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)));
  const buffers = {};
  for (const [name, [offset, bytes]] of Object.entries(packet.buffers)) {
    buffers[name] = new Uint8Array(data, 4 + size + offset, bytes);
  }
  return { ...packet, buffers };
}

// Returns the packets of a file, each after its length in eight bytes.
export function decodeAll(data) {
  const packets = [];
  const view = new DataView(data);
  for (let at = 0; at < data.byteLength; ) {
    const size = view.getUint32(at, true);
    packets.push(decode(data.slice(at + 8, at + 8 + size)));
    at += 8 + size;
  }
  return packets;
}

export function as16(bytes) {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
}

export function asFloats(bytes) {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

// Returns the depth of a pixel as it was published, 0 where it is invalid.
export function depthOf(packed, unit) {
  return (packed >> 1) * unit;
}

export function confidenceOf(step) {
  return Math.exp((step / 255) * Math.log(CONFIDENCE_HIGH));
}

export function confidenceStep(confidence) {
  return Math.min(255, Math.max(0, (255 * Math.log(confidence)) / Math.log(CONFIDENCE_HIGH)));
}
