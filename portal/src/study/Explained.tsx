import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import type { Analysis } from "../api/client";
import { modelsQuery, useExplain, useMay } from "../api/queries";
import { useFormat } from "../i18n/format";
import { ProblemAlert } from "../ui/ProblemText";
import { useUploads } from "../uploads/queue";
import { pieces, point } from "./sources";

/** The explanation: who wrote it, and where its numbers come from. */
export function Explained({ analysis }: { analysis: Analysis }) {
  const { t, language } = useFormat();
  const { explanation } = analysis;
  const explain = useExplain(analysis.id);
  const may = useMay();
  const { data: models } = useQuery(modelsQuery);
  const coming = useUploads(({ uploads }) =>
    uploads.some((one) => one.analysis?.id === analysis.id && one.step === "explaining"),
  );
  const cut = useMemo(() => pieces(explanation.text, analysis), [explanation.text, analysis]);
  const busy = explain.isPending || coming;
  const foreign = explanation.language !== language;
  const stayed = explain.isSuccess && !busy && models?.llm && explanation.source === "template";
  return (
    <section className="explained" aria-label={t("explanation")} aria-busy={busy}>
      <header className="row">
        <h2>{t("explanation")}</h2>
        {may.change && (models?.llm || foreign) && (
          <button type="button" className="small push" disabled={busy} onClick={() => explain.mutate(language)}>
            {foreign ? t("translate") : t("explainAgain")}
          </button>
        )}
      </header>
      <p lang={explanation.language} className="words">
        {cut.map(({ text, key }, n) =>
          key === null ? (
            text
          ) : (
            <button
              // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of one text never change places.
              key={n}
              type="button"
              className="number"
              onPointerEnter={() => point(key)}
              onPointerLeave={() => point(null)}
              onFocus={() => point(key)}
              onBlur={() => point(null)}
            >
              {text}
            </button>
          ),
        )}
      </p>
      <p className="dim" role="status">
        {busy
          ? t("explaining")
          : explanation.source === "template"
            ? t("byTemplate")
            : t("byLlm", { model: explanation.model ?? "" })}
        {stayed && ` ${t("explanationKept")}`}
      </p>
      <p className="dim">{t("numbersHint")}</p>
      {explain.error && <ProblemAlert problem={explain.error} />}
    </section>
  );
}
