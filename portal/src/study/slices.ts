import type { Segmentation } from "../api/client";

type Slices = Segmentation["slices"];

/** The slice with most marked. */
export const largestOf = (slices: Slices) =>
  slices.reduce((best, one) => (one.area_fraction > best.area_fraction ? one : best));

/** On how many slices something is marked. */
export const markedOf = (slices: Slices) => slices.filter((one) => one.area_fraction > 0).length;
