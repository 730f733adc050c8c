// Inferno, the perceptually uniform colour map of matplotlib (N. Smith and S. van der Walt, CC0), from nine of its points.

const POINTS = [
  [0, 0, 4], [31, 12, 72], [85, 15, 109], [136, 34, 106], [186, 54, 85], [227, 89, 51], [249, 140, 10], [249, 201, 50],
  [252, 255, 164],
];

/** The colour [r, g, b] of a value from 0 to 255. */
export function inferno(value) {
  const place = (value / 255) * (POINTS.length - 1);
  const low = Math.min(Math.floor(place), POINTS.length - 2);
  return POINTS[low].map((start, n) => Math.round(start + (POINTS[low + 1][n] - start) * (place - low)));
}
