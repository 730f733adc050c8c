import { useQuery } from "@tanstack/react-query";
import { modelsQuery } from "../api/queries";
import { useFormat } from "../i18n/format";
import { ProblemAlert } from "../ui/ProblemText";

/** The models that answer now, with what their cards say. */
export function ModelList() {
  const { t, language, modality } = useFormat();
  const { data, error, refetch } = useQuery(modelsQuery);
  return (
    <section className="models" aria-label={t("models")}>
      <h2>{t("models")}</h2>
      {error && <ProblemAlert problem={error} retry={() => void refetch()} />}
      {data?.items.length === 0 && <p role="status">{t("noModels")}</p>}
      {data?.items
        .filter((model) => model.modality)
        .map((model) => (
          <details key={`${model.name} ${model.variant}`}>
            <summary>
              {model.title[language]}{" "}
              <span className="dim">
                {model.version} · {modality(model.modality ?? "")}
                {model.variant === "canary" && ` · ${t("candidate")}`}
              </span>
            </summary>
            <dl>
              <dt>{t("use")}</dt>
              <dd>{model.intended_use[language]}</dd>
              <dt>{t("notFor")}</dt>
              <dd>{model.not_for[language]}</dd>
              <dt>{t("limits")}</dt>
              <dd>{model.limits[language]}</dd>
              <dt>{t("training")}</dt>
              <dd lang="en">{model.training_data}</dd>
              <dt>{t("figures")}</dt>
              {model.measured.map((one) => (
                <dd key={`${one.metric} ${one.command}`} lang="en" title={`${one.dataset}; ${one.command}`}>
                  {one.metric}: {one.value}
                </dd>
              ))}
            </dl>
          </details>
        ))}
    </section>
  );
}
