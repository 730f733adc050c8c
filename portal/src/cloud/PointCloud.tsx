import { useThree } from "@react-three/fiber";
import { type RefObject, useCallback, useEffect, useMemo, useRef } from "react";
import {
  BufferAttribute,
  BufferGeometry,
  CustomBlending,
  Points as Drawn,
  type Intersection,
  OneFactor,
  OneMinusSrcAlphaFactor,
  type Raycaster,
  ShaderMaterial,
} from "three";
import type { Points } from "./points";

// One draw of all points; a slice is chosen by a uniform, so nothing is sent to the graphics card again. Colours are
// premultiplied: without alpha they add to what is behind and glow, with alpha they cover it. The brain comes
// first and lies at the far end of the depth, so that it hides nothing and the tumour is seen through it.
const VERTEX = `
attribute float slice;
attribute float kind;
uniform float chosen;
uniform float size;
varying vec4 colour;
void main() {
  vec4 at = modelViewMatrix * vec4(position, 1.0);
  bool now = abs(slice - chosen) < 0.5;
  bool tumour = kind > 0.5;
  colour = tumour
    ? (now ? vec4(0.72, 1.0, 1.0, 1.0) : vec4(0.95, 0.10, 0.08, 0.9))
    : (now ? vec4(0.0, 0.85, 0.88, 0.35) : vec4(0.03, 0.08, 0.30, 0.0));
  gl_PointSize = size * (now ? 1.4 : 1.0) / -at.z;
  gl_Position = projectionMatrix * at;
  if (!tumour) gl_Position.z = gl_Position.w;
}`;
const FRAGMENT = `
varying vec4 colour;
void main() {
  float far = length(gl_PointCoord - 0.5);
  if (far > 0.5) discard;
  gl_FragColor = colour * (1.0 - far);
}`;

/** Points of each class that are drawn while something moves, where drawing all of them is slow. */
const FEW = 4_000;
/** Milliseconds that a frame may take before that is slow. */
const SLOW = 10;
/** Milliseconds of rest after which all points are drawn again. */
const REST = 250;

/** What a click meets is among all points, also while a sample of them is drawn. */
function meet(this: Drawn<BufferGeometry>, ray: Raycaster, met: Intersection[]) {
  const { start, count } = this.geometry.drawRange;
  this.geometry.setDrawRange(0, Number.POSITIVE_INFINITY);
  Drawn.prototype.raycast.call(this, ray, met);
  this.geometry.setDrawRange(start, count);
}

type Props = {
  points: Points;
  now: number;
  go: (n: number) => void;
  /** Is called when the camera moves. */
  moved: RefObject<() => void>;
};

/** Brain blue, tumour red, the chosen slice glowing cyan; a click goes to the slice of the point it meets. */
export function PointCloud({ points, now, go, moved }: Props) {
  const { gl, scene, camera, invalidate, size } = useThree();
  const geometry = useMemo(() => {
    const made = new BufferGeometry();
    made.setAttribute("position", new BufferAttribute(points.positions, 3));
    made.setAttribute("slice", new BufferAttribute(Float32Array.from(points.slices), 1));
    made.setAttribute("kind", new BufferAttribute(Float32Array.from(points.kinds), 1));
    return made;
  }, [points]);
  const material = useMemo(
    () =>
      new ShaderMaterial({
        vertexShader: VERTEX,
        fragmentShader: FRAGMENT,
        uniforms: { chosen: { value: 0 }, size: { value: 1 } },
        transparent: true,
        blending: CustomBlending,
        blendSrc: OneFactor,
        blendDst: OneMinusSrcAlphaFactor,
      }),
    [],
  );
  const slow = useRef(false);
  const resting = useRef(0);
  const thin = useCallback(() => {
    if (!slow.current) return;
    geometry.setDrawRange(Math.max(0, points.brain - FEW), Math.min(FEW, points.brain) + FEW);
    clearTimeout(resting.current);
    resting.current = window.setTimeout(() => {
      geometry.setDrawRange(0, Number.POSITIVE_INFINITY);
      invalidate();
    }, REST);
  }, [geometry, points, invalidate]);
  useEffect(() => {
    moved.current = thin;
    return () => clearTimeout(resting.current);
  }, [moved, thin]);
  useEffect(() => {
    // Reading a pixel waits until the frame is there; the first one also compiles the shader.
    const timed = requestAnimationFrame(() => {
      gl.render(scene, camera);
      const context = gl.getContext();
      const read = () => context.readPixels(0, 0, 1, 1, context.RGBA, context.UNSIGNED_BYTE, new Uint8Array(4));
      read();
      const start = performance.now();
      gl.render(scene, camera);
      read();
      slow.current = performance.now() - start > SLOW;
    });
    return () => cancelAnimationFrame(timed);
  }, [gl, scene, camera]);
  useEffect(() => () => geometry.dispose(), [geometry]);
  useEffect(() => () => material.dispose(), [material]);
  useEffect(() => {
    Object.assign(material.uniforms.chosen ?? {}, { value: now });
    Object.assign(material.uniforms.size ?? {}, { value: (size.height * points.radius) / 42 });
    thin();
    invalidate();
  }, [material, invalidate, thin, now, points.radius, size.height]);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: points of WebGL, not an element of the page; slices have their slider.
    <points
      position={points.centre.map((at) => -at) as [number, number, number]}
      geometry={geometry}
      material={material}
      raycast={meet}
      onClick={(event) => {
        // The first point is the nearest; without this, those behind it hear of the click too.
        event.stopPropagation();
        const slice = event.index === undefined ? undefined : points.slices[event.index];
        // The drag that turns the cloud ends with a click too.
        if (event.delta < 3 && slice !== undefined) go(slice);
      }}
    />
  );
}
