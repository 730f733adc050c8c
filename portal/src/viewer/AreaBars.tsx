import { type PointerEvent, useRef } from "react";
import type { Segmentation } from "../api/client";
import { useFormat } from "../i18n/format";

type Props = { slices: Segmentation["slices"]; now: number; go: (n: number) => void };

/** The marked area of each slice as bars; click and drag go to a slice. The slider beside it does the same by keyboard. */
export function AreaBars({ slices, now, go }: Props) {
  const { t, percent } = useFormat();
  const chart = useRef<SVGSVGElement>(null);
  const count = slices.length;
  const most = Math.max(...slices.map((slice) => slice.area_fraction));
  const at = (event: PointerEvent) => {
    const box = chart.current?.getBoundingClientRect();
    if (box) go(Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * count))));
  };
  return (
    <figure className="areas">
      <figcaption>
        {t("area")} <span className="dim">{t("areaHint")}</span>
      </figcaption>
      <div className="plot">
        <span className="dim">{percent(most)}</span>
        <svg
          ref={chart}
          viewBox={`0 0 ${count} 40`}
          preserveAspectRatio="none"
          aria-hidden="true"
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            at(event);
          }}
          onPointerMove={(event) => event.buttons && at(event)}
        >
          <rect className="cursor" x={now} y={0} width={1} height={40} />
          {slices.map(({ index, area_fraction: area }) => (
            <rect
              key={index}
              className={index === now ? "now" : ""}
              x={index + 0.1}
              width={0.8}
              y={40 - (most > 0 ? (area / most) * 40 : 0)}
              height={most > 0 ? (area / most) * 40 : 0}
            />
          ))}
        </svg>
      </div>
    </figure>
  );
}
