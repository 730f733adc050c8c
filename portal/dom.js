// Elements without a framework. Strings become text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** An HTML element: `h("p", {class: "x", onclick: f}, "text", child)`; null and false children are left out. */
export function h(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** An SVG element, likewise. */
export function svg(tag, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

/** A labelled range input with its value beside it; `show` words a value, `change` hears of each. */
export function slider({ id, label, min, max, step, value, show, change }) {
  const output = h("output", { for: id }, show(value));
  const input = h("input", {
    id, type: "range", min, max, step, value, "aria-valuetext": show(value),
    oninput: () => {
      set(input.valueAsNumber);
      change(input.valueAsNumber);
    },
  });
  function set(next) {
    input.value = next;
    output.textContent = show(next);
    input.setAttribute("aria-valuetext", show(next));
  }
  return { element: h("div", { class: "slider" }, h("label", { for: id }, label), input, output), set };
}

/** Load an image; rejects where it does not come or is none. */
export async function picture(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

/** The first channel of an image, Uint8ClampedArray [height * width]. */
export function grey(image) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  return Uint8ClampedArray.from({ length: width * height }, (_, n) => rgba[4 * n]);
}
