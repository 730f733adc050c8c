import { type Ref, useImperativeHandle, useRef } from "react";
import type { Analysis, Segmentation } from "../api/client";
import { useFormat } from "../i18n/format";
import { useSettings } from "../settings";
import { ProblemAlert } from "../ui/ProblemText";
import { Range } from "../ui/Range";
import { AreaBars } from "./AreaBars";
import { Layer } from "./Layer";
import { Pane } from "./Pane";
import { sheet } from "./pixels";
import { useSlice } from "./slices";
import { Toolbar, WindowSliders } from "./Toolbar";
import { aspectOf, useLook } from "./useLook";
import type { Shown } from "./XrayView";

const COLOUR = "#ff5a4f";
/** Least width of a saved picture, so that the outline is thin on small slices. */
const SAVED_WIDTH = 1024;

type Props = { analysis: Analysis; result: Segmentation; now: number; go: (n: number) => void; of: Ref<Shown> };

export default function StackView({ analysis, result, now, go, of }: Props) {
  const { t, round } = useFormat();
  const { maskOpacity, set } = useSettings();
  const canvas = useRef<HTMLCanvasElement>(null);
  const { data: slice, error, refetch } = useSlice(analysis, result, now);
  const { view, change, tool, choose, shown } = useLook(slice?.image);
  const count = result.slices.length;
  const step = (by: number) => go(Math.min(count - 1, Math.max(0, now + by)));

  useImperativeHandle(of, () => ({
    picture: () => {
      if (!canvas.current || !slice) return null;
      const scale = Math.max(1, Math.ceil(SAVED_WIDTH / canvas.current.width));
      const { canvas: saved, context } = sheet(canvas.current.width * scale, canvas.current.height * scale);
      context.drawImage(canvas.current, 0, 0, saved.width, saved.height);
      if (slice.outline) {
        const path = new Path2D(slice.outline);
        context.scale(scale, scale);
        context.fillStyle = context.strokeStyle = COLOUR;
        context.globalAlpha = maskOpacity;
        context.fill(path, "evenodd");
        context.globalAlpha = 1;
        context.lineWidth = 2 / scale;
        context.stroke(path);
      }
      return saved;
    },
  }));

  if (error) return <ProblemAlert problem={error} retry={() => void refetch()} />;
  if (!slice || !shown) return <p className="loading">{t("loading")}</p>;
  const aspect = aspectOf(shown, analysis);
  return (
    <section className="viewer" aria-label={t("viewer")}>
      <Toolbar {...{ view, change, tool, choose }} />
      <div className="panes">
        <Pane {...{ view, change, tool, aspect, step }} label={t("stack")} keys={t("stackKeys")}>
          <Layer pixels={shown} label={t("sliceAlt", { n: now + 1, count })} of={canvas} />
          {slice.outline && (
            <svg
              className="mask"
              viewBox={`0 0 ${shown.width} ${shown.height}`}
              preserveAspectRatio="none"
              aria-hidden="true"
            >
              <path d={slice.outline} fill={COLOUR} fillOpacity={maskOpacity} fillRule="evenodd" stroke={COLOUR} />
            </svg>
          )}
        </Pane>
      </div>
      <div className="controls">
        <div>
          <Range
            label={t("slice")}
            min={1}
            max={count}
            value={now + 1}
            words={t("of", { n: now + 1, count })}
            change={(to) => go(to - 1)}
          />
          <Range
            label={t("opacityMask")}
            max={1}
            step={0.05}
            value={maskOpacity}
            words={round(maskOpacity)}
            change={(to) => set({ maskOpacity: to })}
          />
          <AreaBars slices={result.slices} now={now} go={go} />
        </div>
        <div>
          <WindowSliders {...{ view, change }} />
        </div>
      </div>
    </section>
  );
}
