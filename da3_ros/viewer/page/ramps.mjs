// Colour scales, as tables of 256 colours: near to far for depth, low to high for confidence.

const STOPS = {
  depth: ['#a51230', '#e8503a', '#f7a541', '#e9e06b', '#7cc98b', '#2f9fb5', '#2d5fa8', '#2b2a63'],
  confidence: ['#15142e', '#40206f', '#86308a', '#cb4676', '#f27d5b', '#fbcb84', '#fff8dc'],
};

export const RAMP_NAMES = Object.keys(STOPS);

function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

// Returns a scale as 256 colours, three bytes each.
export function rampTable(name) {
  const stops = STOPS[name].map(rgb);
  const table = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    for (let c = 0; c < 3; c++) {
      table[3 * i + c] = Math.round(stops[low][c] + (at - low) * (stops[low + 1][c] - stops[low][c]));
    }
  }
  return table;
}

// Returns a colour for the i-th of many things, [r, g, b] from 0 to 1: neighbours differ clearly.
export function hue(i) {
  const at = (0.56 + i * 0.61803398875) % 1;
  return [0, 1, 2].map((c) => {
    const x = Math.abs(((at * 6 + [0, 4, 2][c]) % 6) - 3) - 1;
    return 0.35 + 0.6 * Math.min(Math.max(x, 0), 1);
  });
}

// Returns a scale for style sheets.
export function rampGradient(name) {
  return `linear-gradient(to right, ${STOPS[name].join(', ')})`;
}
