import { useThree } from "@react-three/fiber";
import { useEffect, useMemo } from "react";
import {
  BufferAttribute,
  BufferGeometry,
  CustomBlending,
  OneFactor,
  OneMinusSrcAlphaFactor,
  ShaderMaterial,
} from "three";
import type { Points } from "./points";

// One draw of all points; a slice is chosen by a uniform, so nothing is sent to the graphics card again. Colours are
// premultiplied: without alpha they add to what is behind and glow, with alpha they cover it. The tumour comes last.
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
}`;
const FRAGMENT = `
varying vec4 colour;
void main() {
  float far = length(gl_PointCoord - 0.5);
  if (far > 0.5) discard;
  gl_FragColor = colour * (1.0 - far);
}`;

type Props = { points: Points; now: number; go: (n: number) => void };

/** Brain blue, tumour red, the chosen slice glowing cyan; a click goes to the slice of the point it meets. */
export function PointCloud({ points, now, go }: Props) {
  const { invalidate, size } = useThree();
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
        depthWrite: false,
        depthTest: false,
        blending: CustomBlending,
        blendSrc: OneFactor,
        blendDst: OneMinusSrcAlphaFactor,
      }),
    [],
  );
  useEffect(() => () => geometry.dispose(), [geometry]);
  useEffect(() => () => material.dispose(), [material]);
  useEffect(() => {
    Object.assign(material.uniforms.chosen ?? {}, { value: now });
    Object.assign(material.uniforms.size ?? {}, { value: (size.height * points.radius) / 42 });
    invalidate();
  }, [material, invalidate, now, points.radius, size.height]);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: points of WebGL, not an element of the page; slices have their slider.
    <points
      position={points.centre.map((at) => -at) as [number, number, number]}
      geometry={geometry}
      material={material}
      // The drag that turns the cloud ends with a click too.
      onClick={({ delta, index }) => {
        const slice = index === undefined ? undefined : points.slices[index];
        if (delta < 3 && slice !== undefined) go(slice);
      }}
    />
  );
}
