import type { Analysis, Classification, Model, Segmentation } from "../api/client";
import { useFormat } from "../i18n/format";
import { Source } from "./Source";
import { largestOf, markedOf } from "./slices";

/** Closer to the threshold than this, a label is told to be uncertain. */
const NEAR = 0.1;
/** A modality that was recognised with less confidence than this is told. */
const SURE = 0.98;

type Props = { analysis: Analysis; card: Model | undefined };

/** The answer in one glance, with what its number has meant, and what to mind. */
export function Verdict({ analysis, card }: Props) {
  const { t } = useFormat();
  const { model, result } = analysis;
  const warnings = useWarnings(analysis);
  return (
    <section className="answer" aria-label={t("finding")}>
      <p className="dim">{t("answer")}</p>
      <p className="dim">
        {model.name} <Source of="version">{model.version}</Source> ·{" "}
        {model.variant === "canary" ? <span className="badge">{t("candidate")}</span> : t("stable")}
      </p>
      {result.task === "classification" ? <Classified result={result} card={card} /> : <Segmented result={result} />}
      {warnings.length > 0 && (
        <ul className="warnings" aria-label={t("warnings")}>
          {warnings.map((words) => (
            <li key={words}>{words}</li>
          ))}
        </ul>
      )}
    </section>
  );
}

function useWarnings({ modality, result }: Analysis): string[] {
  const { t, label, modality: nameOf, percent } = useFormat();
  const told: string[] = [];
  if (modality.source === "override") told.push(t("overridden"));
  if (modality.doubtful) told.push(t("doubtful", { kind: nameOf(modality.label) }));
  else if (modality.confidence != null && modality.confidence < SURE)
    told.push(t("unsure", { value: percent(modality.confidence) }));
  if (result.task === "classification") {
    const { label: finding, regions } = result.heatmap;
    if (Math.abs((result.probabilities[finding] ?? 0) - result.threshold) < NEAR) told.push(t("nearThreshold"));
    if (Object.values(regions).every((share) => share === 0)) told.push(t("noHeat", { label: label(finding) }));
  }
  return told;
}

function Classified({ result, card }: { result: Classification; card: Model | undefined }) {
  const { t, label, percent, region } = useFormat();
  const finding = result.heatmap.label;
  const probability = result.probabilities[finding] ?? 0;
  const found = result.label === finding;
  return (
    <>
      <h2 className={found ? "headline found" : "headline"}>{label(result.label)}</h2>
      <p className="figure">
        <Source of="probability">{percent(probability)}</Source>{" "}
        <span>{t("probabilityOf", { label: label(finding) })}</span>
      </p>
      <svg className="gauge" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        <rect className="track" x={0} y={2} width={100} height={4} />
        <rect className={found ? "fill found" : "fill"} x={0} y={2} width={probability * 100} height={4} />
        <line x1={result.threshold * 100} x2={result.threshold * 100} y1={0} y2={8} />
      </svg>
      <p className="dim">
        {t("threshold")} <Source of="threshold">{percent(result.threshold)}</Source> ·{" "}
        {found ? t("reached") : t("notReached")}
      </p>
      <Meaning probability={probability} finding={finding} card={card} />
      <figure className="regions">
        <figcaption className="dim">
          {t("regions")} ({t("regionsHint")})
        </figcaption>
        <dl>
          {Object.entries(result.heatmap.regions).map(([name, share]) => (
            <div key={name} style={{ "--share": share } as React.CSSProperties}>
              <dt>{region(name)}</dt>
              <dd>
                <Source of={`region.${name}`}>{percent(share)}</Source>
              </dd>
            </div>
          ))}
        </dl>
      </figure>
    </>
  );
}

function Meaning({ probability, finding, card }: { probability: number; finding: string; card: Model | undefined }) {
  const { t, label, round, number } = useFormat();
  const known = card?.reliability;
  const bin = known?.bins.find(({ low, high }) => probability >= low && (probability < high || high === 1));
  if (!known || !bin) return null;
  return (
    <p className="meaning">
      {t("meaning", {
        low: round(bin.low),
        high: round(bin.high),
        share: Math.round(bin.share * 100),
        label: label(finding),
      })}{" "}
      <span className="dim" title={`${known.dataset}; ${known.command}`}>
        {t("meaningOn", { images: number(bin.images), prevalence: round(known.prevalence) })}
      </span>
    </p>
  );
}

function Segmented({ result }: { result: Segmentation }) {
  const { t, label, number, percent } = useFormat();
  const marked = markedOf(result.slices);
  if (marked === 0 || !result.extent) return <h2 className="headline">{t("nothing")}</h2>;
  const largest = largestOf(result.slices);
  const [first, last] = result.extent.slices;
  return (
    <>
      <h2 className="headline found">{label(result.label)}</h2>
      <p className="figure">
        <Source of="volume">
          {result.volume_ml == null ? t("spacingUnknown") : `${number(result.volume_ml, 1)} ml`}
        </Source>{" "}
        <span>{t("volume")}</span>
      </p>
      <dl className="facts">
        <dt>{t("extent")}</dt>
        <dd>
          <Source of="first">{first + 1}</Source>–<Source of="last">{last + 1}</Source> (
          <Source of="marked">{marked}</Source> / <Source of="total">{result.slices.length}</Source>)
        </dd>
        <dt>{t("largest")}</dt>
        <dd>
          <Source of="largest">{largest.index + 1}</Source> ·{" "}
          <Source of="area">{percent(largest.area_fraction)}</Source> {t("largestArea")}
        </dd>
        <dt>{t("threshold")}</dt>
        <dd>{percent(result.threshold)}</dd>
        <dt>{label(result.label)}</dt>
        <dd>
          <Source of="voxels">{t("voxels", { count: result.voxels })}</Source>
        </dd>
      </dl>
    </>
  );
}
