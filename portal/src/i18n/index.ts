// The words of the page, in the reader's language; those of a language are loaded once it is chosen.

import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import type { Language } from "../api/client";
import { useSettings } from "../settings";
import { en, type Words } from "./en";

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: Words };
  }
}

const OTHERS: Record<Exclude<Language, "en">, () => Promise<Words>> = { ja: async () => (await import("./ja")).ja };

async function speak(language: Language) {
  if (language !== "en" && !i18next.hasResourceBundle(language, "translation")) {
    i18next.addResourceBundle(language, "translation", await OTHERS[language]());
  }
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
}

const dress = (theme: string) => {
  document.documentElement.dataset.theme = theme;
};

/** Begin with what the reader chose last, and follow what they choose from then on. */
export async function startLanguage(): Promise<void> {
  const { language, theme } = useSettings.getState();
  dress(theme);
  await i18next.use(initReactI18next).init({
    resources: { en: { translation: en } },
    lng: "en",
    fallbackLng: "en",
    interpolation: { escapeValue: false },
  });
  await speak(language);
  useSettings.subscribe((now, before) => {
    dress(now.theme);
    if (now.language !== before.language) void speak(now.language);
  });
}
