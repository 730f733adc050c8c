import { useMemo, useState } from "react";
import type { Analysis } from "../api/client";
import type { Tool } from "./Pane";
import { withGreys } from "./pixels";
import { greys, WHOLE } from "./view";

/** How a reader looks at an image, and the image in the greys of that. */
export function useLook(image: ImageData | undefined) {
  const [view, change] = useState(WHOLE);
  const [tool, choose] = useState<Tool>("move");
  const { width, level, inverted } = view;
  // biome-ignore lint/correctness/useExhaustiveDependencies: zoom and shift change no grey.
  const shown = useMemo(() => image && withGreys(image, greys(view)), [image, width, level, inverted]);
  return { view, change, tool, choose, shown };
}

/** Width over height of an image as it lies in the body; of its pixels, where the spacing is unknown. */
export function aspectOf({ width, height }: ImageData, { input: { spacing_mm: spacing } }: Analysis): number {
  return (width * (spacing?.column ?? 1)) / (height * (spacing?.row ?? 1));
}
