import type { Model } from "../api/client";
import { useFormat } from "../i18n/format";

/** What the model is for, what not, and where it is known to be wrong. */
export function Card({ card, gone }: { card: Model | undefined; gone: boolean }) {
  const { t, language } = useFormat();
  if (gone) return <p className="dim">{t("modelGone")}</p>;
  if (!card) return null;
  return (
    <section className="card" aria-label={card.title[language]}>
      <h2>{card.title[language]}</h2>
      <dl>
        <dt>{t("notFor")}</dt>
        <dd>{card.not_for[language]}</dd>
        <dt>{t("limits")}</dt>
        <dd>{card.limits[language]}</dd>
        <dt>{t("use")}</dt>
        <dd>{card.intended_use[language]}</dd>
      </dl>
    </section>
  );
}
