import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { Link, Route, Switch } from "wouter";
import type { Language } from "./api/client";
import { meQuery } from "./api/queries";
import { useFormat } from "./i18n/format";
import { type Theme, useSettings } from "./settings";
import { Choice } from "./ui/Choice";
import { Worklist } from "./worklist/Worklist";

const StudyPage = lazy(() => import("./study/StudyPage"));

const LANGUAGES = [
  ["en", "English"],
  ["ja", "日本語"],
] as const satisfies readonly (readonly [Language, string])[];

export function App() {
  const { t } = useFormat();
  const { language, theme, set } = useSettings();
  const me = useQuery(meQuery).data;
  const themes = [
    ["dark", t("themeDark")],
    ["light", t("themeLight")],
  ] as const satisfies readonly (readonly [Theme, string])[];
  return (
    <>
      <a className="skip" href="#content">
        {t("skip")}
      </a>
      <header className="bar">
        <Link className="brand" href="/">
          Dokuei <span lang="ja">読影</span>
        </Link>
        <p className="disclaimer">{t("disclaimer")}</p>
        <Choice label={t("theme")} value={theme} options={themes} choose={(chosen) => set({ theme: chosen })} />
        <Choice
          label="Language / 言語"
          value={language}
          options={LANGUAGES}
          choose={(chosen) => set({ language: chosen })}
        />
        {me?.signs_in && (
          <p className="user">
            {me.name} · <a href="/oauth2/sign_out">{t("signOut")}</a>
          </p>
        )}
      </header>
      <main id="content" tabIndex={-1}>
        <Suspense fallback={<p className="loading">{t("loading")}</p>}>
          <Switch>
            <Route path="/studies/:id">{({ id }) => <StudyPage key={id} id={id} />}</Route>
            <Route>
              <Worklist />
            </Route>
          </Switch>
        </Suspense>
      </main>
    </>
  );
}
