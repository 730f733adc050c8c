import type { Analysis } from "../api/client";
import { useFormat } from "../i18n/format";

/** How the answer came about: input, kind of image, model, time. */
export function Details({ analysis }: { analysis: Analysis }) {
  const { t, modality, moment, number, percent } = useFormat();
  const { input, model, modality: kind } = analysis;
  const spacing = input.spacing_mm;
  const millimetres = spacing && [spacing.row, spacing.column, spacing.slice].filter((one) => one != null);
  const seconds = Object.values(analysis.timings_ms).reduce((sum, one) => sum + one, 0) / 1000;
  return (
    <details className="details">
      <summary>{t("details")}</summary>
      <dl className="facts">
        <dt>{t("runtime")}</dt>
        <dd>{model.runtime}</dd>
        <dt>{t("kind")}</dt>
        <dd>
          {modality(kind.label)},{" "}
          {t(`source.${kind.source}`, { value: kind.confidence == null ? "" : percent(kind.confidence) })}
        </dd>
        <dt>{t("input")}</dt>
        <dd>
          {input.kind.toUpperCase()}, {t("images", { count: input.images })}
        </dd>
        <dt>{t("spacing")}</dt>
        <dd>{millimetres ? `${millimetres.map((one) => number(one, 2)).join(" × ")} mm` : t("spacingUnknown")}</dd>
        <dt>{t("created")}</dt>
        <dd>{moment(analysis.created)}</dd>
        <dt>{t("took")}</dt>
        <dd>{t("seconds", { n: number(seconds, 2) })}</dd>
      </dl>
    </details>
  );
}
