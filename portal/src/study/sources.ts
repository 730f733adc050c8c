// Where the numbers of an explanation come from: each fact has a key, and the place on the page that shows it has it too.

import type { ReactNode } from "react";
import { create } from "zustand";
import type { Analysis } from "../api/client";
import { largestOf, markedOf } from "./slices";

/** The key of the fact that is pointed at, or null. */
export const usePointed = create<{ key: string | null }>()(() => ({ key: null }));
export const point = (key: string | null) => usePointed.setState({ key });

type Fact = { key: string; value: number };

/** The facts of an analysis in the order in which explanations name them; shares as percentages too. */
export function factsOf({ result }: Analysis): Fact[] {
  if (result.task === "classification") {
    const shares = [
      { key: "probability", value: result.probabilities[result.heatmap.label] ?? 0 },
      { key: "threshold", value: result.threshold },
      ...Object.entries(result.heatmap.regions)
        .sort(([, one], [, other]) => other - one)
        .map(([region, value]) => ({ key: `region.${region}`, value })),
    ];
    return shares.flatMap(({ key, value }) => [
      { key, value: value * 100 },
      { key, value },
    ]);
  }
  const { slices, extent } = result;
  const largest = largestOf(slices);
  const facts: Fact[] = [
    { key: "marked", value: markedOf(slices) },
    { key: "total", value: slices.length },
    ...(extent
      ? [
          { key: "first", value: extent.slices[0] + 1 },
          { key: "last", value: extent.slices[1] + 1 },
        ]
      : []),
    ...(result.volume_ml == null ? [] : [{ key: "volume", value: result.volume_ml }]),
    { key: "voxels", value: result.voxels },
    { key: "largest", value: largest.index + 1 },
    { key: "area", value: largest.area_fraction * 100 },
    { key: "area", value: largest.area_fraction },
  ];
  return facts;
}

export type Piece = { text: string; key: string | null };

const NUMBER = /\d+\.\d+\.\d+|\d+(?:,\d{3})*(?:\.\d+)?/g;

/** An explanation cut into pieces, of which numbers that stand among the facts have the key of theirs. */
export function pieces(text: string, analysis: Analysis): Piece[] {
  const facts = factsOf(analysis);
  const used = new Set<Fact>();
  const cut: Piece[] = [];
  let end = 0;
  for (const { 0: written, index } of text.matchAll(NUMBER)) {
    cut.push({ text: text.slice(end, index), key: null });
    end = index + written.length;
    cut.push({ text: written, key: keyOf(written, analysis, facts, used) });
  }
  cut.push({ text: text.slice(end), key: null });
  return cut.filter((piece) => piece.text !== "");
}

function keyOf(written: string, analysis: Analysis, facts: Fact[], used: Set<Fact>): string | null {
  if (written === analysis.model.version) return "version";
  const value = Number(written.replaceAll(",", ""));
  const decimals = written.split(".")[1]?.length ?? 0;
  const fits = facts.filter(
    (fact) =>
      Math.abs(fact.value - value) <= 0.5001 * 10 ** -decimals && (decimals > 0 || Number.isInteger(fact.value)),
  );
  // Two facts can have the same value; they are named in their order.
  const fact = fits.find((one) => !used.has(one)) ?? fits[0];
  if (!fact) return null;
  used.add(fact);
  return fact.key;
}

export type WithKey = { of: string; children: ReactNode };
