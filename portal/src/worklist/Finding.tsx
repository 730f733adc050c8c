import type { Analysis } from "../api/client";
import { useFormat } from "../i18n/format";
import { markedOf } from "../study/slices";

/** What the model says, in one line. */
export function Finding({ result }: { result: Analysis["result"] }) {
  const { t, label, percent, number } = useFormat();
  if (result.task === "classification") {
    const finding = result.heatmap.label;
    const found = result.label === finding;
    return (
      <>
        <strong className={found ? "found" : ""}>{label(result.label)}</strong>{" "}
        <span className="dim">
          {!found && `${label(finding)} `}
          {percent(result.probabilities[finding] ?? 0)}
        </span>
      </>
    );
  }
  const marked = markedOf(result.slices);
  if (marked === 0) return <span>{t("nothing")}</span>;
  return (
    <>
      <strong className="found">{label(result.label)}</strong>{" "}
      <span className="dim">
        {result.volume_ml == null ? t("voxels", { count: result.voxels }) : `${number(result.volume_ml, 1)} ml`},{" "}
        {t("marked", { count: marked, total: result.slices.length })}
      </span>
    </>
  );
}
