// A classification: the image with its heat map, and the probability beside its threshold.

import { heatmapUrl, imageUrl } from "./api.js";
import { grey, h, picture, slider, svg } from "./dom.js";
import { inferno } from "./inferno.js";
import { percent, t, word } from "./texts.js";

let opacity = 0.6; // kept from study to study

/** The label of the finding: the one whose evidence the heat map shows. */
const finding = (result) => result.heatmap.label;

/** The heat map in colour; alpha is the heat. */
function coloured(image) {
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const pixels = new ImageData(canvas.width, canvas.height);
  const table = Array.from({ length: 256 }, (_, value) => inferno(value));
  grey(image).forEach((heat, n) => pixels.data.set([...table[heat], heat], 4 * n));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

function legend(label) {
  const canvas = h("canvas", { width: 256, height: 1, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  for (let value = 0; value < 256; value += 1) {
    context.fillStyle = `rgb(${inferno(value).join(" ")})`;
    context.fillRect(value, 0, 1, 1);
  }
  return h("div", { class: "legend" },
    h("span", {}, t("legendLow")), canvas, h("span", {}, t("legendHigh", { label })),
    h("span", { class: "dim" }, t("legendNote")));
}

/** The image side. `missing` hears of a picture that does not load. */
export function viewer(analysis, missing) {
  const label = word("label", finding(analysis.result));
  const canvas = h("canvas", { role: "img", "aria-label": t("imageAlt") });
  let image, heat;

  function draw() {
    const context = canvas.getContext("2d");
    context.globalAlpha = 1;
    context.drawImage(image, 0, 0);
    context.globalAlpha = opacity;
    context.drawImage(heat, 0, 0);
  }

  async function load() {
    const [shown, map] = await Promise.all([picture(imageUrl(analysis.id, 0)), picture(heatmapUrl(analysis.id))]);
    [image, heat] = [shown, coloured(map)];
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    draw();
  }

  const control = slider({
    id: "opacity", label: t("opacityHeat"), min: 0, max: 1, step: 0.05, value: opacity, show: (value) => percent(value, 0),
    change: (value) => {
      opacity = value;
      if (heat) draw();
    },
  });
  load().catch(missing);
  const empty = Object.values(analysis.result.heatmap.regions).every((share) => share === 0);
  return [
    h("div", { class: "stage" }, canvas),
    h("div", { class: "controls" }, control.element, legend(label), empty && h("p", { class: "dim" }, t("noHeat", { label }))),
  ];
}

/** The answer in one glance: probability, threshold, and the label that follows. */
export function headline({ result }) {
  const name = finding(result);
  const probability = result.probabilities[name];
  const found = result.label === name;
  const threshold = result.threshold * 100;
  return h("div", { class: found ? "headline found" : "headline" },
    h("p", { class: "dim" }, t("answer")),
    h("h1", {}, word("label", result.label)),
    h("p", { class: "figure" }, percent(probability), h("span", {}, t("probability", { label: word("label", name) }))),
    svg("svg", { class: "gauge", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "track", x: 0, y: 2, width: 100, height: 4 }),
      svg("rect", { class: "fill", x: 0, y: 2, width: probability * 100, height: 4 }),
      svg("line", { x1: threshold, x2: threshold, y1: 0, y2: 8 })),
    h("p", { class: "dim" }, t("threshold", { value: percent(result.threshold, 0) }), " ",
      t(found ? "reached" : "notReached")));
}

/** The finding in one line, for the list. */
export function summary({ result }) {
  const name = finding(result);
  const probability = `${word("label", name)} ${percent(result.probabilities[name])}`;
  return result.label === name ? probability : `${word("label", result.label)} (${probability})`;
}
