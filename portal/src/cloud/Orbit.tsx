import { useThree } from "@react-three/fiber";
import { type Ref, type RefObject, useEffect, useImperativeHandle, useMemo } from "react";
import { Vector3 } from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";

export type Turn = { turn: (right: number, up: number) => void; zoom: (factor: number) => void; reset: () => void };

/** From where the camera looks first: before the face, a little to the side and above. */
const START = new Vector3(0.45, -0.85, 0.35).normalize();
/** Its distance in radii, at which all is seen in a square frame. */
const AWAY = 3.1;

type Props = { radius: number; of: Ref<Turn>; moved: RefObject<() => void> };

/** Turning and zooming by mouse and finger, and by the buttons of `of`; `moved` hears of each step. */
export function Orbit({ radius, of, moved }: Props) {
  const { camera, gl, invalidate, size } = useThree();
  const away = (AWAY * radius) / Math.min(1, size.width / size.height);
  const controls = useMemo(() => new OrbitControls(camera), [camera]);
  useEffect(() => {
    const reset = () => {
      camera.up.set(0, 0, 1);
      camera.position.copy(START).multiplyScalar(away);
      controls.update();
    };
    controls.connect(gl.domElement);
    controls.enablePan = false;
    controls.minDistance = radius;
    controls.maxDistance = away * 2;
    controls.addEventListener("change", () => {
      moved.current();
      invalidate();
    });
    reset();
    return () => controls.dispose();
  }, [camera, controls, gl, invalidate, moved, radius, away]);
  useImperativeHandle(of, () => {
    const place = (change: (at: Vector3) => void) => {
      change(camera.position);
      controls.update();
      invalidate();
    };
    return {
      turn: (right, up) =>
        place((at) => {
          at.applyAxisAngle(new Vector3(0, 0, 1), -right);
          const side = new Vector3().crossVectors(at, camera.up).normalize();
          const tilted = at.clone().applyAxisAngle(side, up);
          if (Math.abs(tilted.clone().normalize().z) < 0.98) at.copy(tilted);
        }),
      zoom: (factor) => place((at) => at.multiplyScalar(factor)),
      reset: () => place((at) => at.copy(START).multiplyScalar(away)),
    };
  });
  return null;
}
