// Pictures of the API as pixels, drawn with greys or colours, and saved as files.

import { fetchBlob } from "../api/client";

/** The RGBA pixels of a picture; the API's are grey or RGB, opaque. */
export async function pixelsOf(url: string, signal?: AbortSignal): Promise<ImageData> {
  const bitmap = await createImageBitmap(await fetchBlob(url, signal));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("this browser draws no pictures");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** The picture with each value replaced by `greys[value]`. */
export function withGreys({ data, width, height }: ImageData, greys: Uint8ClampedArray): ImageData {
  const shown = new ImageData(width, height);
  for (let n = 0; n < data.length; n += 4) {
    shown.data[n] = greys[data[n] as number] as number;
    shown.data[n + 1] = greys[data[n + 1] as number] as number;
    shown.data[n + 2] = greys[data[n + 2] as number] as number;
    shown.data[n + 3] = 255;
  }
  return shown;
}

/** A grey heat map in colours; what has no heat is clear. */
export function withColours({ data, width, height }: ImageData, colours: Uint8ClampedArray): ImageData {
  const shown = new ImageData(width, height);
  for (let n = 0; n < data.length; n += 4) {
    const heat = data[n] as number;
    shown.data.set(colours.subarray(3 * heat, 3 * heat + 3), n);
    shown.data[n + 3] = heat;
  }
  return shown;
}

/** Let the browser save a canvas as a PNG. The name tells the analysis, never the patient. */
export async function save(canvas: HTMLCanvasElement, name: string): Promise<void> {
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
  if (!blob) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name}.png`;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** A new canvas of a size to draw on. */
export function sheet(width: number, height: number): { canvas: HTMLCanvasElement; context: CanvasRenderingContext2D } {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser draws no pictures");
  return { canvas, context };
}
