// How an image is looked at: where, how large, and in which greys. Panes beside each other share one view.

export type View = {
  zoom: number;
  /** Shift of the image, as a share of its own size on the screen. */
  x: number;
  y: number;
  /** Window width and level (PS3.3 C.11.2), of 8-bit display values. */
  width: number;
  level: number;
  inverted: boolean;
};

export const WHOLE: View = { zoom: 1, x: 0, y: 0, width: 255, level: 127.5, inverted: false };

const [LEAST, MOST] = [1, 12];
const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));

/** Zoom by a factor around a point, given as a share of the image's size from its middle. */
export function zoomed(view: View, factor: number, at = { x: 0, y: 0 }): View {
  const zoom = clamp(view.zoom * factor, LEAST, MOST);
  if (zoom === LEAST) return { ...view, zoom, x: 0, y: 0 };
  const change = zoom - view.zoom;
  return moved({ ...view, zoom }, -at.x * change, -at.y * change);
}

/** Shift the image; its middle stays where at least half of it is seen. */
export function moved(view: View, x: number, y: number): View {
  const most = (view.zoom - 1) / 2 + 0.25;
  return { ...view, x: clamp(view.x + x, -most, most), y: clamp(view.y + y, -most, most) };
}

export function windowed(view: View, width: number, level: number): View {
  return { ...view, width: clamp(width, 2, 510), level: clamp(level, 0, 255) };
}

/** The grey shown for each stored value (PS3.3 C.11.2.1.3.2, LINEAR_EXACT). */
export function greys({ width, level, inverted }: View): Uint8ClampedArray {
  return Uint8ClampedArray.from({ length: 256 }, (_, value) => {
    const grey = ((value - level) / width + 0.5) * 255;
    return inverted ? 255 - grey : grey;
  });
}
