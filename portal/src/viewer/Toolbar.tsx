import type { ReactNode } from "react";
import { useFormat } from "../i18n/format";
import { Choice } from "../ui/Choice";
import { Range } from "../ui/Range";
import type { Tool } from "./Pane";
import { type View, WHOLE, windowed, zoomed } from "./view";

type Props = {
  view: View;
  change: (view: View) => void;
  tool: Tool;
  choose: (tool: Tool) => void;
  children?: ReactNode;
};

export function Toolbar({ view, change, tool, choose, children }: Props) {
  const { t } = useFormat();
  const tools = [
    ["move", t("move")],
    ["window", t("window")],
  ] as const satisfies readonly (readonly [Tool, string])[];
  return (
    <div className="toolbar" role="toolbar" aria-label={t("viewer")}>
      <Choice label={t("tools")} value={tool} options={tools} choose={choose} />
      <div className="row tight">
        <button type="button" aria-label={t("zoomOut")} title={t("zoomOut")} onClick={() => change(zoomed(view, 0.8))}>
          −
        </button>
        <output className="zoom" aria-label={t("zoom")}>
          {Math.round(view.zoom * 100)}%
        </output>
        <button type="button" aria-label={t("zoomIn")} title={t("zoomIn")} onClick={() => change(zoomed(view, 1.25))}>
          +
        </button>
      </div>
      <button type="button" aria-pressed={view.inverted} onClick={() => change({ ...view, inverted: !view.inverted })}>
        {t("invert")}
      </button>
      <button type="button" onClick={() => change(WHOLE)}>
        {t("reset")}
      </button>
      {children}
    </div>
  );
}

/** Window width and level, for who does not drag. */
export function WindowSliders({ view, change }: Pick<Props, "view" | "change">) {
  const { t } = useFormat();
  const [width, level] = [Math.round(view.width), Math.round(view.level)];
  return (
    <>
      <Range
        label={t("width")}
        min={2}
        max={510}
        value={width}
        words={String(width)}
        change={(to) => change(windowed(view, to, view.level))}
      />
      <Range
        label={t("level")}
        max={255}
        value={level}
        words={String(level)}
        change={(to) => change(windowed(view, view.width, to))}
      />
    </>
  );
}
