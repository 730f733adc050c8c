import { type KeyboardEvent, type PointerEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { moved, type View, WHOLE, windowed, zoomed } from "./view";

export type Tool = "move" | "window";

type Props = {
  view: View;
  change: (view: View) => void;
  tool: Tool;
  /** Width over height of the image as it lies in the body. */
  aspect: number;
  label: string;
  keys: string;
  /** What wheel and arrow keys do where images lie one behind the other; without it they zoom and move. */
  step?: (by: number) => void;
  children: ReactNode;
};

const ZOOM = 1.25;
const SHIFT = 0.05;
const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [1, 0],
  ArrowRight: [-1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

/** A dark frame with an image that is zoomed, moved and windowed by mouse, finger or keyboard. */
export function Pane({ view, change, tool, aspect, label, keys, step, children }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const image = useRef<HTMLDivElement>(null);
  const from = useRef<{ x: number; y: number; view: View } | null>(null);
  const [held, setHeld] = useState(false);

  const wheel = useRef((_: WheelEvent) => {});
  wheel.current = (event) => {
    event.preventDefault();
    if (step && !event.ctrlKey) return step(Math.sign(event.deltaY));
    const box = image.current?.getBoundingClientRect();
    if (!box) return;
    const at = { x: (event.clientX - box.left) / box.width - 0.5, y: (event.clientY - box.top) / box.height - 0.5 };
    change(zoomed(view, event.deltaY < 0 ? ZOOM : 1 / ZOOM, at));
  };
  useEffect(() => {
    // React listens passively, and then the page would scroll too.
    const heard = (event: WheelEvent) => wheel.current(event);
    const element = frame.current;
    element?.addEventListener("wheel", heard, { passive: false });
    return () => element?.removeEventListener("wheel", heard);
  }, []);

  function drag(event: PointerEvent) {
    if (!from.current || !image.current) return;
    const [x, y] = [event.clientX - from.current.x, event.clientY - from.current.y];
    const start = from.current.view;
    const box = image.current.getBoundingClientRect();
    // Across is contrast and down is brightness, as in most viewers.
    if (tool === "window") change(windowed(start, start.width + x, start.level + y / 2));
    else change(moved(start, (x / box.width) * start.zoom, (y / box.height) * start.zoom));
  }

  function key(event: KeyboardEvent) {
    const arrow = ARROWS[event.key];
    if (arrow && step) step(event.key === "ArrowDown" || event.key === "ArrowRight" ? 1 : -1);
    else if (arrow) change(moved(view, arrow[0] * SHIFT, arrow[1] * SHIFT));
    else if (step && (event.key === "PageDown" || event.key === "PageUp")) step(event.key === "PageDown" ? 5 : -5);
    else if (event.key === "+" || event.key === "=") change(zoomed(view, ZOOM));
    else if (event.key === "-") change(zoomed(view, 1 / ZOOM));
    else if (event.key === "0") change({ ...view, zoom: WHOLE.zoom, x: 0, y: 0 });
    else if (event.key.toLowerCase() === "i" && !event.ctrlKey && !event.metaKey)
      change({ ...view, inverted: !view.inverted });
    else return;
    event.preventDefault();
  }

  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms; this is a group of layers with keys of its own.
    <div
      ref={frame}
      className={`pane ${tool}${held ? " held" : ""}`}
      role="group"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard works on the image as the mouse does.
      tabIndex={0}
      aria-label={label}
      aria-description={keys}
      onKeyDown={key}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        from.current = { x: event.clientX, y: event.clientY, view };
        setHeld(true);
      }}
      onPointerMove={drag}
      onPointerUp={() => {
        from.current = null;
        setHeld(false);
      }}
      onDoubleClick={() => change({ ...view, zoom: WHOLE.zoom, x: 0, y: 0 })}
    >
      <div
        ref={image}
        className="image"
        style={{
          aspectRatio: aspect,
          width: `min(100cqw, calc(100cqh * ${aspect}))`,
          transform: `translate(${view.x * 100}%, ${view.y * 100}%) scale(${view.zoom})`,
        }}
      >
        {children}
      </div>
    </div>
  );
}
