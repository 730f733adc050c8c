// Colour maps of the heat map, as 256 x [r, g, b].

import type { ColourMap } from "../settings";

// Inferno, the perceptually uniform map of matplotlib (N. Smith and S. van der Walt, CC0), from nine of its points.
const INFERNO = [
  [0, 0, 4],
  [31, 12, 72],
  [85, 15, 109],
  [136, 34, 106],
  [186, 54, 85],
  [227, 89, 51],
  [249, 140, 10],
  [249, 201, 50],
  [252, 255, 164],
] as const;

function inferno(share: number): number[] {
  const place = share * (INFERNO.length - 1);
  const low = Math.min(Math.floor(place), INFERNO.length - 2);
  const [from, to] = [INFERNO[low] ?? INFERNO[0], INFERNO[low + 1] ?? INFERNO[0]];
  return from.map((start, n) => start + ((to[n] ?? 0) - start) * (place - low));
}

/** The rainbow of the paper: blue, cyan, yellow, red. Steps that the data do not have seem to be in it. */
function jet(share: number): number[] {
  return [3, 2, 1].map((middle) => 255 * Math.min(1, Math.max(0, 1.5 - Math.abs(4 * share - middle))));
}

const table = (map: (share: number) => number[]) =>
  Uint8ClampedArray.from({ length: 256 }, (_, value) => value).reduce(
    (colours, value) => {
      colours.set(map(value / 255), 3 * value);
      return colours;
    },
    new Uint8ClampedArray(3 * 256),
  );

export const COLOURS: Record<ColourMap, Uint8ClampedArray> = { inferno: table(inferno), jet: table(jet) };
