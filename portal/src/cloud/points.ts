// The point cloud as the API sends it (docs/api.md, "The point cloud").

import { fetchBlob, pointsUrl } from "../api/client";

export type Points = {
  /** [n][3]: to the right, down, along the slices, from the centre; in mm where the spacing is known, else in voxels. */
  positions: Float32Array;
  /** [n] slice of each point, from 0. */
  slices: Uint16Array;
  /** [n] 0 brain, 1 tumour. The brain comes first; within each any part is a sample of the whole. */
  kinds: Uint8Array;
  /** How many are brain. */
  brain: number;
  /** Middle of the points, and the distance from it within which nearly all of them lie. */
  centre: number[];
  radius: number;
};

const HEADER = 16;

export async function pointsOf(id: string, signal: AbortSignal): Promise<Points> {
  const bytes = await (await fetchBlob(pointsUrl(id), signal)).arrayBuffer();
  const header = new DataView(bytes, 0, HEADER);
  if (header.getUint32(0) !== 0x444b5043 || header.getUint32(4, true) !== 1) {
    throw new Error("the point cloud is of a version that this page does not know");
  }
  const count = header.getUint32(8, true);
  const behind = HEADER + 12 * count;
  const kinds = new Uint8Array(bytes, behind + 2 * count, count);
  const firstTumour = kinds.indexOf(1);
  const positions = new Float32Array(bytes, HEADER, 3 * count);
  return {
    positions,
    ...extent(positions),
    slices: new Uint16Array(bytes, behind, count),
    kinds,
    brain: firstTumour < 0 ? count : firstTumour,
  };
}

/** The mean, and how far from it nearly all points are: some stray ones beside the head change neither. */
function extent(positions: Float32Array): Pick<Points, "centre" | "radius"> {
  const count = positions.length / 3;
  const centre = [0, 0, 0];
  positions.forEach((value, n) => {
    centre[n % 3] = (centre[n % 3] ?? 0) + value / count;
  });
  const [x = 0, y = 0, z = 0] = centre;
  const far = Float32Array.from({ length: count }, (_, n) =>
    Math.hypot((positions[3 * n] ?? 0) - x, (positions[3 * n + 1] ?? 0) - y, (positions[3 * n + 2] ?? 0) - z),
  ).sort();
  return { centre, radius: far[Math.floor(0.99 * (count - 1))] || 1 };
}
