import { Link } from "wouter";
import { useFormat } from "../i18n/format";
import { ProblemText } from "../ui/ProblemText";
import { again, cancel, clear, finished, type Upload, useUploads } from "./queue";

const STEPS = ["sending", "received", "decoded", "dispatched", "predicted", "stored"];

/** The uploads of this visit, each with its step, or why it was refused. */
export function UploadList() {
  const { t } = useFormat();
  const uploads = useUploads((queue) => queue.uploads);
  if (uploads.length === 0) return null;
  const done = uploads.filter(finished).length;
  return (
    <section className="uploads" aria-label={t("uploads")}>
      <header className="row">
        <h2>{t("uploads")}</h2>
        <p className="dim" role="status">
          {t("uploadsDone", { done, count: uploads.length })}
        </p>
        {done > 0 && (
          <button type="button" className="small push" onClick={clear}>
            {t("clearDone")}
          </button>
        )}
      </header>
      <ul>
        {uploads.map((upload) => (
          <Row key={upload.key} upload={upload} />
        ))}
      </ul>
    </section>
  );
}

function Row({ upload }: { upload: Upload }) {
  const { t, label, percent } = useFormat();
  const { analysis, problem, step } = upload;
  const result = analysis?.result;
  const place = analysis ? STEPS.length : STEPS.indexOf(step);
  return (
    <li className={problem ? "upload refused" : "upload"}>
      <span className="name">{upload.name}</span>
      <span className="dim">
        {step === "later"
          ? t("step.later", { seconds: upload.seconds })
          : t(`step.${step as "sending"}`, { defaultValue: step })}
        {result && `: ${label(result.label)}`}
        {result?.task === "classification" &&
          ` (${label(result.heatmap.label)} ${percent(result.probabilities[result.heatmap.label] ?? 0)})`}
      </span>
      {!finished(upload) && <progress max={STEPS.length} value={Math.max(0, place)} aria-label={upload.name} />}
      <span className="actions">
        {analysis && <Link href={`/studies/${analysis.id}`}>{t("open")}</Link>}
        {!finished(upload) && !analysis && (
          <button type="button" className="small" onClick={() => cancel(upload)}>
            {t("cancel")}
          </button>
        )}
        {(step === "refused" || step === "cancelled") && (
          <button type="button" className="small" onClick={() => again(upload)}>
            {t("retry")}
          </button>
        )}
      </span>
      {problem && (
        <div className="why" role="alert">
          <ProblemText problem={problem} />
        </div>
      )}
    </li>
  );
}
