// Numbers and moments as the chosen language writes them, and the words for labels of model cards.

import { useTranslation } from "react-i18next";
import type { Language } from "../api/client";

/** A share as a percentage that never claims certainty: 0.9997 is 99.97 %, not 100.0 % (as in the explanations). */
export function percent(language: Language, share: number): string {
  const written = (digits: number) =>
    new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
  for (const digits of [1, 2]) {
    const value = Number((share * 100).toFixed(digits));
    if (value > 0 && value < 100) return written(digits).format(share);
  }
  return (share < 0.5 ? "< " : "> ") + written(2).format(share < 0.5 ? 0.0001 : 0.9999);
}

export function useFormat() {
  const { t, i18n } = useTranslation();
  const language = i18n.language as Language;
  const word = (kind: "label" | "modality" | "region", key: string) =>
    i18n.exists(`${kind}.${key}`) ? i18n.t(`${kind}.${key}` as "label.normal") : key;
  return {
    t,
    language,
    percent: (share: number) => percent(language, share),
    round: (share: number) => new Intl.NumberFormat(language, { style: "percent" }).format(share),
    number: (value: number, digits = 0) =>
      new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value),
    moment: (iso: string) =>
      new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso)),
    label: (key: string) => word("label", key),
    modality: (key: string) => word("modality", key),
    region: (key: string) => word("region", key),
  };
}
