// How one reader likes to see things; kept in the browser. Nothing of an analysis is ever kept there.

import { create } from "zustand";
import { persist } from "zustand/middleware";
import type { Language } from "./api/client";

export type Theme = "dark" | "light";
export type ColourMap = "inferno" | "jet";
export type Layout = "overlaid" | "beside";

type Settings = {
  language: Language;
  theme: Theme;
  colourMap: ColourMap;
  layout: Layout;
  heatOpacity: number;
  maskOpacity: number;
  set: (change: Partial<Omit<Settings, "set">>) => void;
};

export const useSettings = create<Settings>()(
  persist(
    (set) => ({
      language: navigator.language.startsWith("ja") ? "ja" : "en",
      theme: "dark", // Reading rooms are.
      colourMap: "inferno",
      layout: "overlaid",
      heatOpacity: 0.6,
      maskOpacity: 0.35,
      set: (change) => set(change),
    }),
    { name: "dokuei.settings", version: 1 },
  ),
);
