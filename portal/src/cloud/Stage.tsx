import { createRoot, events, extend, type ReconcilerRoot } from "@react-three/fiber";
import { type ReactNode, useEffect, useRef } from "react";
import { Color, Points, Scene } from "three";

// react-three-fiber's own <Canvas> knows every class of three.js and so brings all of it along.
extend({ Points });

const GROUND = new Color("#05070a");

type Props = { radius: number; children: ReactNode };

/** A WebGL canvas of the size of its frame, drawn only when something has changed. */
export function Stage({ radius, children }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const root = useRef<ReconcilerRoot<HTMLCanvasElement>>(null);
  const shown = useRef(children);
  shown.current = children;

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const canvas = element.appendChild(document.createElement("canvas"));
    const made = createRoot(canvas);
    const scene = new Scene();
    scene.background = GROUND;
    const fit = async () => {
      const { width, height } = element.getBoundingClientRect();
      await made.configure({
        events,
        scene,
        size: { width, height, top: 0, left: 0 },
        frameloop: "demand",
        dpr: [1, 1.5],
        gl: { antialias: false, preserveDrawingBuffer: true },
        camera: { fov: 40, near: radius / 100, far: radius * 20 },
        raycaster: { params: { Points: { threshold: radius / 60 } } as never },
      });
      // A root that is drawn before it is configured configures itself.
      root.current = made;
      made.render(shown.current);
    };
    const observer = new ResizeObserver(() => void fit());
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.unmount();
      canvas.remove();
      root.current = null;
    };
  }, [radius]);
  useEffect(() => {
    root.current?.render(children);
  });
  return <div ref={frame} className="stage" />;
}
