// The slices of a series and their masks: read once, the nearest ones first, and kept while the study is open.

import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { contours } from "d3-contour";
import { useEffect, useRef } from "react";
import { type Analysis, imageUrl, maskUrl, type Segmentation } from "../api/client";
import { pixelsOf } from "./pixels";

export type Slice = {
  image: ImageData;
  /** The outline of the mask as an SVG path in pixels of the slice; null where nothing is marked. */
  outline: string | null;
};

function outlineOf({ data, width, height }: ImageData): string {
  const values = Array.from({ length: width * height }, (_, n) => data[4 * n] as number);
  const shape = contours().size([width, height]).smooth(false).contour(values, 128);
  const rings = shape.coordinates.flat();
  return rings.map((ring) => `M${ring.map(([x, y]) => `${x},${y}`).join("L")}Z`).join("");
}

const sliceQuery = (id: string, n: number, marked: boolean) =>
  queryOptions({
    queryKey: ["slice", id, n],
    queryFn: async ({ signal }): Promise<Slice> => {
      const [image, mask] = await Promise.all([
        pixelsOf(imageUrl(id, n), signal),
        marked ? pixelsOf(maskUrl(id, n), signal) : null,
      ]);
      return { image, outline: mask && outlineOf(mask) };
    },
    staleTime: Number.POSITIVE_INFINITY,
  });

/** Slice n; until it has come, the one that was shown before. */
export function useSlice(analysis: Analysis, result: Segmentation, n: number) {
  const client = useQueryClient();
  const of = (which: number) => sliceQuery(analysis.id, which, (result.slices[which]?.area_fraction ?? 0) > 0);
  const first = useRef(n);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each study, outwards from the slice it opens with.
  useEffect(() => {
    let open = true;
    const order = result.slices
      .map((_, which) => which)
      .sort((a, b) => Math.abs(a - first.current) - Math.abs(b - first.current));
    void (async () => {
      for (const which of order) if (open) await client.prefetchQuery(of(which));
    })();
    return () => {
      open = false;
    };
  }, [analysis.id]);
  return useQuery({ ...of(n), placeholderData: (before) => before });
}
