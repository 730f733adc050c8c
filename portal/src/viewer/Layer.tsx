import { type Ref, useImperativeHandle, useLayoutEffect, useRef } from "react";

type Props = { pixels: ImageData; label: string; opacity?: number; of?: Ref<HTMLCanvasElement> };

/** Pixels on a canvas that fills its pane. */
export function Layer({ pixels, label, opacity = 1, of }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useImperativeHandle(of, () => canvas.current as HTMLCanvasElement);
  // Before the browser paints, so that a slice and its contour change together.
  useLayoutEffect(() => canvas.current?.getContext("2d")?.putImageData(pixels, 0, 0), [pixels]);
  return (
    <canvas
      ref={canvas}
      width={pixels.width}
      height={pixels.height}
      role="img"
      aria-label={label}
      style={{ opacity }}
    />
  );
}
