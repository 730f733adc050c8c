import { useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import type { Analysis } from "../api/client";
import { useFormat } from "../i18n/format";
import { ProblemAlert } from "../ui/ProblemText";
import { save } from "../viewer/pixels";
import { Orbit, type Turn } from "./Orbit";
import { PointCloud } from "./PointCloud";
import { pointsOf } from "./points";
import { Stage } from "./Stage";

type Props = { analysis: Analysis; now: number; go: (n: number) => void };

const STEP = Math.PI / 12;

/** What each key does; the buttons do the same. */
const KEYS = new Map<string, (turn: Turn) => void>([
  ["ArrowLeft", ({ turn }) => turn(-STEP, 0)],
  ["ArrowRight", ({ turn }) => turn(STEP, 0)],
  ["ArrowUp", ({ turn }) => turn(0, STEP)],
  ["ArrowDown", ({ turn }) => turn(0, -STEP)],
  ["+", ({ zoom }) => zoom(0.8)],
  ["-", ({ zoom }) => zoom(1.25)],
  ["0", ({ reset }) => reset()],
]);

function hasWebGl(): boolean {
  return document.createElement("canvas").getContext("webgl2") !== null;
}

/** The series in 3-D, beside the slices and in step with them. */
export default function CloudView({ analysis, now, go }: Props) {
  const { t, label } = useFormat();
  const [possible] = useState(hasWebGl);
  const turn = useRef<Turn>(null);
  const moved = useRef(() => {});
  const frame = useRef<HTMLDivElement>(null);
  const { data, error, refetch } = useQuery({
    queryKey: ["points", analysis.id],
    queryFn: ({ signal }) => pointsOf(analysis.id, signal),
    staleTime: Number.POSITIVE_INFINITY,
    enabled: possible,
  });
  const finding = label(analysis.result.label);

  /** Do what a key says; false where it says nothing. */
  function act(key: string): boolean {
    const does = KEYS.get(key);
    if (does && turn.current) does(turn.current);
    return does !== undefined;
  }

  return (
    <section className="cloud" aria-label={t("cloud")}>
      <div className="toolbar" role="toolbar" aria-label={t("cloud")}>
        {(
          [
            ["ArrowLeft", "↶", "turnLeft"],
            ["ArrowRight", "↷", "turnRight"],
            ["ArrowUp", "⤴", "turnUp"],
            ["ArrowDown", "⤵", "turnDown"],
            ["-", "−", "zoomOut"],
            ["+", "+", "zoomIn"],
          ] as const
        ).map(([name, sign, words]) => (
          <button key={name} type="button" aria-label={t(words)} title={t(words)} onClick={() => act(name)}>
            {sign}
          </button>
        ))}
        <button type="button" onClick={() => act("0")}>
          {t("reset")}
        </button>
        <button
          type="button"
          onClick={() => {
            const canvas = frame.current?.querySelector("canvas");
            if (canvas) void save(canvas, `dokuei-${analysis.id.slice(0, 8)}-3d`);
          }}
        >
          {t("snapshot")}
        </button>
      </div>
      {!possible && <p className="empty">{t("noWebGl")}</p>}
      {error && <ProblemAlert problem={error} retry={() => void refetch()} />}
      {/* biome-ignore lint/a11y/useSemanticElements: a picture that is turned by keys is no form. */}
      <div
        ref={frame}
        className="space"
        role="group"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard turns the cloud as the mouse does.
        tabIndex={0}
        aria-label={t("cloudAlt", { label: finding, n: now + 1 })}
        onKeyDown={(event) => act(event.key) && event.preventDefault()}
      >
        {data && possible && (
          <Stage radius={data.radius}>
            <Orbit radius={data.radius} of={turn} moved={moved} />
            <PointCloud points={data} now={now} go={go} moved={moved} />
          </Stage>
        )}
      </div>
      <p className="key dim">
        <span className="dot tumour" /> {finding} <span className="dot brain" /> {t("cloudBrain")}{" "}
        <span className="dot slice" /> {t("cloudSlice")} ·{" "}
        {analysis.input.spacing_mm?.slice == null ? t("unitVoxel") : t("unitMm")}
      </p>
      <p className="dim">{t("cloudHint")}</p>
    </section>
  );
}
