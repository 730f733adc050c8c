import { type FormEvent, useId, useState } from "react";
import type { Analysis, Verdict } from "../api/client";
import { useReview } from "../api/queries";
import { useFormat } from "../i18n/format";
import { Choice } from "../ui/Choice";
import { ProblemAlert } from "../ui/ProblemText";

const VERDICTS = ["agree", "disagree", "unsure"] as const;

/** What the reader thinks of the result, with a reason; it can be changed and taken back. */
export function Review({ analysis }: { analysis: Analysis }) {
  const { t, moment } = useFormat();
  const kept = analysis.review;
  const [verdict, setVerdict] = useState<Verdict | null>(kept?.verdict ?? null);
  const [reason, setReason] = useState(kept?.reason ?? "");
  const review = useReview(analysis.id);
  const id = useId();
  const same = verdict === (kept?.verdict ?? null) && reason === (kept?.reason ?? "");

  function save(event: FormEvent) {
    event.preventDefault();
    if (verdict) review.mutate({ verdict, reason });
  }
  function takeBack() {
    review.mutate(null, {
      onSuccess: () => {
        setVerdict(null);
        setReason("");
      },
    });
  }

  return (
    <section className="review" aria-label={t("yourReview")}>
      <h2>{t("yourReview")}</h2>
      <form onSubmit={save}>
        <Choice
          label={t("yourReview")}
          value={verdict}
          options={VERDICTS.map((one) => [one, t(`verdict.${one}`)] as const)}
          choose={setVerdict}
        />
        <label htmlFor={id}>{t("reason")}</label>
        <textarea
          id={id}
          rows={2}
          maxLength={2000}
          aria-describedby={`${id}-hint`}
          value={reason}
          onChange={({ currentTarget }) => setReason(currentTarget.value)}
        />
        <p id={`${id}-hint`} className="dim">
          {t("reasonHint")}
        </p>
        <div className="row">
          <button type="submit" className="primary" disabled={!verdict || same || review.isPending}>
            {t("save")}
          </button>
          {kept && (
            <button type="button" disabled={review.isPending} onClick={takeBack}>
              {t("takeBack")}
            </button>
          )}
          <p className="dim" role="status">
            {kept && t("saved", { when: moment(kept.created) })}
          </p>
        </div>
        {review.error && <ProblemAlert problem={review.error} />}
      </form>
    </section>
  );
}
