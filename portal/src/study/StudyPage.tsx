import { useQuery } from "@tanstack/react-query";
import { useRef } from "react";
import { Link } from "wouter";
import type { Analysis } from "../api/client";
import { analysisQuery, modelsQuery, useMay } from "../api/queries";
import { useFormat } from "../i18n/format";
import { ProblemAlert } from "../ui/ProblemText";
import type { Shown } from "../viewer/XrayView";
import XrayView from "../viewer/XrayView";
import { Actions } from "./Actions";
import { Card } from "./Card";
import { Details } from "./Details";
import { Explained } from "./Explained";
import { MriStudy } from "./MriStudy";
import { Review } from "./Review";
import { Verdict } from "./Verdict";

export default function StudyPage({ id }: { id: string }) {
  const { t } = useFormat();
  const { data, error, refetch } = useQuery(analysisQuery(id));
  if (data) return <Study analysis={data} />;
  if (error) {
    return (
      <div className="loading">
        <ProblemAlert problem={error} retry={() => void refetch()} />
        <Link href="/">{t("worklist")}</Link>
      </div>
    );
  }
  return <p className="loading">{t("loading")}</p>;
}

function Study({ analysis }: { analysis: Analysis }) {
  const { t, modality } = useFormat();
  const { data: models } = useQuery(modelsQuery);
  const shown = useRef<Shown>(null);
  const may = useMay();
  const { model, result } = analysis;
  const card = models?.items.find((one) => one.name === model.name && one.version === model.version);
  const gone = models !== undefined && card === undefined;
  return (
    <div className={`study ${result.task}`}>
      <header className="row wrap">
        <Link href="/">← {t("worklist")}</Link>
        <h1>{modality(analysis.modality.label)}</h1>
        <Actions analysis={analysis} picture={() => shown.current?.picture() ?? null} />
      </header>
      {result.task === "classification" ? (
        <XrayView analysis={analysis} result={result} of={shown} />
      ) : (
        <MriStudy analysis={analysis} result={result} of={shown} />
      )}
      <div className="panel">
        <Verdict analysis={analysis} card={card} />
        <Explained analysis={analysis} />
        {may.change && <Review analysis={analysis} />}
        <Details analysis={analysis} />
        <Card card={card} gone={gone} />
      </div>
    </div>
  );
}
