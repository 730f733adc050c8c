// A segmentation: a stack of slices with the mask, the area per slice as a navigator, and the volume.

import { imageUrl, maskUrl } from "./api.js";
import { grey, h, picture, slider, svg } from "./dom.js";
import { number, percent, t, word } from "./texts.js";

const COLOUR = "#ff9f1c";
const SHARPNESS = 1024; // least width of the canvas, so that contours are thin on small slices

let opacity = 0.35; // kept from study to study

/** The outline along the pixels' edges, and the pixels themselves, as paths in pixels of the slice. */
function paths(mask) {
  const { naturalWidth: width, naturalHeight: height } = mask;
  const values = grey(mask);
  const marked = (x, y) => x >= 0 && y >= 0 && x < width && y < height && values[y * width + x] > 127;
  const [outline, area] = [new Path2D(), new Path2D()];
  const edge = (x1, y1, x2, y2) => {
    outline.moveTo(x1, y1);
    outline.lineTo(x2, y2);
  };
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (!marked(x, y)) continue;
      area.rect(x, y, 1, 1);
      if (!marked(x, y - 1)) edge(x, y, x + 1, y);
      if (!marked(x, y + 1)) edge(x, y + 1, x + 1, y + 1);
      if (!marked(x - 1, y)) edge(x, y, x, y + 1);
      if (!marked(x + 1, y)) edge(x + 1, y, x + 1, y + 1);
    }
  }
  return { outline, area };
}

/** Bars of the area per slice; click and drag go to a slice. */
function navigator(slices, go) {
  const count = slices.length;
  const most = Math.max(...slices.map((slice) => slice.area_fraction));
  const bars = slices.map(({ area_fraction: area }, n) => {
    const height = most > 0 ? (area / most) * 40 : 0;
    return svg("rect", { x: n + 0.1, y: 40 - height, width: 0.8, height });
  });
  const cursor = svg("rect", { class: "cursor", x: 0, y: 0, width: 1, height: 40 });
  const at = (event) => {
    const box = chart.getBoundingClientRect();
    go(Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * count))));
  };
  const chart = svg("svg", {
    class: "areas", viewBox: `0 0 ${count} 40`, preserveAspectRatio: "none", "aria-hidden": "true",
    onpointerdown: (event) => {
      chart.setPointerCapture(event.pointerId);
      at(event);
    },
    onpointermove: (event) => event.buttons && at(event),
  }, cursor, bars);
  const element = h("figure", { class: "navigator" },
    h("figcaption", {}, t("areaTitle"), " ", h("span", { class: "dim" }, t("areaHint"))),
    h("div", { class: "plot" }, h("span", { class: "axis" }, percent(most)), chart),
    h("div", { class: "axis ends" }, h("span", {}, "1"), h("span", {}, String(count))));
  const set = (n) => {
    cursor.setAttribute("x", n);
    bars.forEach((bar, index) => bar.classList.toggle("now", index === n));
  };
  return { element, set };
}

/** The image side. `missing` hears of a picture that does not load. */
export function viewer(analysis, missing) {
  const { slices, label } = analysis.result;
  const last = slices.length - 1;
  const largest = slices.reduce((best, slice, n) => (slice.area_fraction > slices[best].area_fraction ? n : best), 0);
  let current = slices[largest].area_fraction > 0 ? largest : Math.floor(slices.length / 2);
  const loaded = new Map();

  function load(n) {
    if (!loaded.has(n)) {
      const mask = slices[n].area_fraction > 0 ? picture(maskUrl(analysis.id, n)).then(paths) : null;
      loaded.set(n, Promise.all([picture(imageUrl(analysis.id, n)), mask]));
    }
    return loaded.get(n);
  }

  async function draw() {
    const wanted = current;
    const [image, mask] = await load(wanted);
    if (wanted !== current) return; // another slice was asked for meanwhile
    const scale = Math.max(1, Math.ceil(SHARPNESS / image.naturalWidth));
    [canvas.width, canvas.height] = [image.naturalWidth * scale, image.naturalHeight * scale];
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    if (!mask || opacity === 0) return;
    context.scale(scale, scale);
    context.fillStyle = context.strokeStyle = COLOUR;
    context.globalAlpha = opacity;
    context.fill(mask.area);
    context.globalAlpha = Math.min(1, 0.4 + opacity);
    context.lineWidth = canvas.width / SHARPNESS * 2.5 / scale;
    context.lineCap = "square";
    context.stroke(mask.outline);
  }

  function go(n) {
    current = Math.min(last, Math.max(0, n));
    stack.set(current + 1);
    areas.set(current);
    draw().catch(missing);
  }

  const KEYS = {
    ArrowDown: () => current + 1, ArrowRight: () => current + 1, ArrowUp: () => current - 1, ArrowLeft: () => current - 1,
    PageDown: () => current + 5, PageUp: () => current - 5, Home: () => 0, End: () => last,
  };
  let turned = 0;
  const canvas = h("canvas", { role: "img", "aria-label": t("stack") });
  const stage = h("div", {
    class: "stage", tabindex: 0, role: "group", "aria-label": t("stack"),
    onkeydown: (event) => {
      if (!(event.key in KEYS)) return;
      event.preventDefault();
      go(KEYS[event.key]());
    },
  }, canvas);
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    turned += event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : 40);
    const steps = Math.trunc(turned / 40); // a trackpad sends many small turns for one slice
    turned -= steps * 40;
    if (steps) go(current + Math.sign(steps));
  }, { passive: false });

  const stack = slider({
    id: "slice", label: t("slice"), min: 1, max: last + 1, step: 1, value: current + 1,
    show: (n) => t("of", { n, count: last + 1 }), change: (n) => go(n - 1),
  });
  const strength = slider({
    id: "opacity", label: t("opacityMask"), min: 0, max: 1, step: 0.05, value: opacity, show: (value) => percent(value, 0),
    change: (value) => {
      opacity = value;
      draw().catch(missing);
    },
  });
  const areas = navigator(slices, go);
  go(current);
  // The rest of the stack is fetched ahead, the nearest slices first, so that scrolling does not wait.
  const order = slices.map((_, n) => n).sort((a, b) => Math.abs(a - current) - Math.abs(b - current));
  (async () => {
    for (const n of order) {
      await load(n);
      if (!canvas.isConnected) return; // the page was left
    }
  })().catch(missing);
  return [
    stage,
    h("div", { class: "controls" }, strength.element, stack.element, areas.element,
      h("p", { class: "key" }, h("span", { class: "swatch" }), t("mask", { label: word("label", label) }),
        h("span", { class: "dim" }, t("stackHint")))),
  ];
}

const volumeText = ({ volume_ml: volume }) => (volume == null ? t("spacingUnknown") : `${number(volume, 1)} ml`);

/** The answer in one glance: the volume and where it lies. */
export function headline({ result }) {
  const { extent, voxels, slices, label } = result;
  const found = voxels > 0;
  return h("div", { class: found ? "headline found" : "headline" },
    h("p", { class: "dim" }, t("answer")),
    h("h1", {}, found ? word("label", label) : t("nothing")),
    found && (result.volume_ml == null
      ? h("p", {}, t("volume"), ": ", t("spacingUnknown"))
      : h("p", { class: "figure" }, volumeText(result), h("span", {}, t("volume")))),
    h("p", { class: "dim" }, t("voxels", { n: number(voxels) }),
      extent && ` · ${t("extentSlices", { first: extent.slices[0] + 1, last: extent.slices[1] + 1, count: slices.length })}`));
}

/** The finding in one line, for the list. */
export const summary = ({ result }) =>
  result.voxels > 0 ? `${word("label", result.label)} (${volumeText(result)})` : t("nothing");
