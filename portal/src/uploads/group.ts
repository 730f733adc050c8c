// Which files belong to one analysis: DICOM says so by its series; images without a header do not.

import type { Dropped } from "./dropped";

export type Group = { name: string; files: File[] };

/** Groups that are sure, and images of one folder that may be one series or many: a reader is asked. */
export type Grouping = { sure: Group[]; unclear: Group[] };

/** Modalities (PS3.3 C.7.3.1.1.1) whose images are read one by one, even in one series. */
const PROJECTIONS = new Set(["CR", "DX", "DR", "RG", "XR"]);
const HEADER_BYTES = 64 * 1024;

export async function group(dropped: Dropped[]): Promise<Grouping> {
  const sure: Group[] = [];
  const series = new Map<string, Group>();
  const loose = new Map<string, Group>();
  for (const { file, folder } of dropped) {
    const header = dropped.length > 1 ? await dicomHeader(file) : null;
    if (/\.(zip|nii|nii\.gz)$/i.test(file.name) || dropped.length === 1) {
      sure.push({ name: file.name, files: [file] });
    } else if (header) {
      if (PROJECTIONS.has(header.modality) || !header.series) sure.push({ name: file.name, files: [file] });
      else put(series, header.series, folder || file.name, file);
    } else put(loose, folder, folder || file.name, file);
  }
  sure.push(...series.values());
  const unclear = [...loose.values()].filter((one) => one.files.length > 1);
  sure.push(...[...loose.values()].filter((one) => one.files.length === 1));
  return { sure, unclear };
}

function put(groups: Map<string, Group>, key: string, name: string, file: File) {
  const group = groups.get(key);
  if (group) group.files.push(file);
  else groups.set(key, { name, files: [file] });
}

/** Modality and SeriesInstanceUID of a DICOM file (PS3.10), or null where it is none. */
async function dicomHeader(file: File): Promise<{ modality: string; series: string } | null> {
  const bytes = new Uint8Array(await file.slice(0, HEADER_BYTES).arrayBuffer());
  if (String.fromCharCode(...bytes.slice(128, 132)) !== "DICM") return null;
  const { parseDicom } = await import("dicom-parser");
  try {
    // (0020,000E) lies before the pixels, so what is cut off behind it does not matter.
    const header = parseDicom(bytes, { untilTag: "x0020000e" });
    return { modality: header.string("x00080060") ?? "", series: header.string("x0020000e") ?? "" };
  } catch {
    return { modality: "", series: "" };
  }
}
