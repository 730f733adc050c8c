import { useQuery } from "@tanstack/react-query";
import { type Ref, useImperativeHandle, useMemo, useRef } from "react";
import { type Analysis, type Classification, heatmapUrl, imageUrl } from "../api/client";
import { useFormat } from "../i18n/format";
import { type ColourMap, type Layout, useSettings } from "../settings";
import { Choice } from "../ui/Choice";
import { ProblemAlert } from "../ui/ProblemText";
import { Range } from "../ui/Range";
import { COLOURS } from "./colours";
import { Layer } from "./Layer";
import { Legend } from "./Legend";
import { Pane } from "./Pane";
import { pixelsOf, sheet, withColours } from "./pixels";
import { Toolbar, WindowSliders } from "./Toolbar";
import { aspectOf, useLook } from "./useLook";

/** Gives the picture that is shown, at the size of the image. */
export type Shown = { picture: () => HTMLCanvasElement | null };

type Props = { analysis: Analysis; result: Classification; of: Ref<Shown> };

export default function XrayView({ analysis, result, of }: Props) {
  const { t, label, round } = useFormat();
  const { colourMap, layout, heatOpacity, set } = useSettings();
  const [base, heat] = [useRef<HTMLCanvasElement>(null), useRef<HTMLCanvasElement>(null)];
  const { data, error, refetch } = useQuery({
    queryKey: ["pixels", analysis.id],
    queryFn: ({ signal }) =>
      Promise.all([imageUrl(analysis.id, 0), heatmapUrl(analysis.id)].map((url) => pixelsOf(url, signal))),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const [image, map] = data ?? [];
  const { view, change, tool, choose, shown } = useLook(image);
  const coloured = useMemo(() => map && withColours(map, COLOURS[colourMap]), [map, colourMap]);
  const finding = label(result.heatmap.label);

  useImperativeHandle(of, () => ({
    picture: () => {
      if (!base.current || !heat.current) return null;
      const { canvas, context } = sheet(base.current.width, base.current.height);
      context.drawImage(base.current, 0, 0);
      context.globalAlpha = heatOpacity;
      context.drawImage(heat.current, 0, 0);
      return canvas;
    },
  }));

  if (error) return <ProblemAlert problem={error} retry={() => void refetch()} />;
  if (!shown || !coloured) return <p className="loading">{t("loading")}</p>;
  const aspect = aspectOf(shown, analysis);
  const pane = { view, change, tool, aspect, keys: t("imageKeys") };
  const layouts = [
    ["overlaid", t("overlaid")],
    ["beside", t("beside")],
  ] as const satisfies readonly (readonly [Layout, string])[];
  const maps = [
    ["inferno", t("inferno")],
    ["jet", t("jet")],
  ] as const satisfies readonly (readonly [ColourMap, string])[];
  return (
    <section className="viewer" aria-label={t("viewer")}>
      <Toolbar {...{ view, change, tool, choose }}>
        <Choice label={t("layout")} value={layout} options={layouts} choose={(chosen) => set({ layout: chosen })} />
        <Choice
          label={t("colourMap")}
          value={colourMap}
          options={maps}
          choose={(chosen) => set({ colourMap: chosen })}
        />
      </Toolbar>
      <div className="panes">
        {layout === "beside" && (
          <Pane {...pane} label={t("imageAlt")}>
            <Layer pixels={shown} label={t("imageAlt")} />
          </Pane>
        )}
        <Pane {...pane} label={t("heatAlt", { label: finding })}>
          <Layer pixels={shown} label={t("imageAlt")} of={base} />
          <Layer pixels={coloured} label={t("heatAlt", { label: finding })} opacity={heatOpacity} of={heat} />
        </Pane>
      </div>
      <div className="controls">
        <div>
          <Range
            label={t("opacityHeat")}
            max={1}
            step={0.05}
            value={heatOpacity}
            words={round(heatOpacity)}
            change={(to) => set({ heatOpacity: to })}
          />
          <Legend map={colourMap} label={finding} />
        </div>
        <div>
          <WindowSliders {...{ view, change }} />
        </div>
      </div>
    </section>
  );
}
