import { useInfiniteQuery } from "@tanstack/react-query";
import { useDeferredValue, useMemo, useState } from "react";
import { Link } from "wouter";
import type { Analysis } from "../api/client";
import { PAGE, useMay, WORKLIST, worklistPage } from "../api/queries";
import { useFormat } from "../i18n/format";
import { ProblemAlert } from "../ui/ProblemText";
import { Finding } from "./Finding";

const VERDICTS = ["agree", "disagree", "unsure"] as const;

export function AnalysisTable() {
  const { t, moment, label, modality } = useFormat();
  const [text, setText] = useState("");
  const [kind, setKind] = useState("");
  const [reviewed, setReviewed] = useState("");
  const wanted = useDeferredValue(text.trim().toLowerCase());
  const query = useInfiniteQuery({
    queryKey: WORKLIST,
    queryFn: ({ pageParam, signal }) => worklistPage(pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page: Analysis[]) => (page.length === PAGE ? (page.at(-1)?.created ?? null) : null),
  });
  const may = useMay();
  const all = useMemo(() => query.data?.pages.flat() ?? [], [query.data]);
  const kinds = useMemo(() => [...new Set(all.map((one) => one.modality.label))].sort(), [all]);
  const shown = all.filter(
    (one) =>
      (!kind || one.modality.label === kind) &&
      (!reviewed || (one.review?.verdict ?? "none") === reviewed) &&
      (!wanted || searched(one, label, modality).includes(wanted)),
  );

  return (
    <section aria-label={t("recent")}>
      <header className="row wrap filters">
        <h1>{t("recent")}</h1>
        <input
          type="search"
          aria-label={t("search")}
          placeholder={t("searchHint")}
          value={text}
          onChange={({ currentTarget }) => setText(currentTarget.value)}
        />
        <select aria-label={t("kind")} value={kind} onChange={({ currentTarget }) => setKind(currentTarget.value)}>
          <option value="">{t("allModalities")}</option>
          {kinds.map((one) => (
            <option key={one} value={one}>
              {modality(one)}
            </option>
          ))}
        </select>
        <select
          aria-label={t("review")}
          value={reviewed}
          onChange={({ currentTarget }) => setReviewed(currentTarget.value)}
        >
          <option value="">{t("allReviews")}</option>
          <option value="none">{t("notReviewed")}</option>
          {VERDICTS.map((one) => (
            <option key={one} value={one}>
              {t(`verdict.${one}`)}
            </option>
          ))}
        </select>
        {may.export && (
          <a className="push" href="/api/reviews.csv" download>
            {t("reviewsCsv")}
          </a>
        )}
      </header>
      {query.error && <ProblemAlert problem={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <p className="dim">{t("loading")}</p>}
      {query.data && shown.length === 0 && <p className="empty">{all.length === 0 ? t("noRecent") : t("noMatch")}</p>}
      {shown.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">{t("when")}</th>
              <th scope="col">{t("image")}</th>
              <th scope="col">{t("finding")}</th>
              <th scope="col">{t("model")}</th>
              <th scope="col">{t("review")}</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((one) => (
              <tr key={one.id}>
                <td>
                  <Link href={`/studies/${one.id}`}>{moment(one.created)}</Link>
                </td>
                <td>
                  {modality(one.modality.label)} <span className="dim">{t("images", { count: one.input.images })}</span>
                </td>
                <td>
                  <Finding result={one.result} />
                </td>
                <td>
                  {one.model.name} <span className="dim">{one.model.version}</span>
                  {one.model.variant === "canary" && <span className="badge">{t("candidate")}</span>}
                </td>
                <td>
                  {one.review ? (
                    <span className={`verdict ${one.review.verdict}`} title={one.review.reason}>
                      {t(`verdict.${one.review.verdict}`)}
                    </span>
                  ) : (
                    <span className="dim">{t("notReviewed")}</span>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {query.hasNextPage && (
        <button type="button" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          {t("more")}
        </button>
      )}
    </section>
  );
}

/** All that a search looks at, in the words of the page. */
function searched(one: Analysis, label: (key: string) => string, modality: (key: string) => string): string {
  const parts = [one.id, one.model.name, one.model.version, one.result.label, label(one.result.label)];
  parts.push(one.modality.label, modality(one.modality.label), one.review?.reason ?? "");
  return parts.join(" ").toLowerCase();
}
