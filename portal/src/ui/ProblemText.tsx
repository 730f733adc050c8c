import { Problem } from "../api/client";
import { useFormat } from "../i18n/format";

const SPECIAL: Record<number, "session" | "busy"> = { 401: "session", 429: "busy" };

/** Where the proxy before the router signs users in, and leads them back to the page they were on. */
const signIn = () => `/oauth2/start?rd=${encodeURIComponent(window.location.pathname)}`;

/** An error in plain words: what happened in the reader's language, and the router's detail. */
export function ProblemText({ problem }: { problem: Error }) {
  const { t } = useFormat();
  if (!(problem instanceof Problem)) return <span>{t("problem.other")}</span>;
  const special = SPECIAL[problem.status];
  const known = t(`problem.${special ?? (problem.slug as "other")}`, { defaultValue: "" });
  return (
    <>
      <strong>{known || problem.title || t("problem.other")}</strong>
      {!special && problem.message && <span lang="en"> {problem.message}</span>}
      {special === "session" && (
        <>
          {" "}
          <a href={signIn()}>{t("signIn")}</a>
        </>
      )}
    </>
  );
}

/** The same, as an alert with a button to try again. */
export function ProblemAlert({ problem, retry }: { problem: Error; retry?: () => void }) {
  const { t } = useFormat();
  return (
    <div className="problem" role="alert">
      <p>
        <ProblemText problem={problem} />
      </p>
      {retry && (
        <button type="button" onClick={retry}>
          {t("retry")}
        </button>
      )}
    </div>
  );
}
