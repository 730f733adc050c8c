import { useMemo } from "react";
import { useFormat } from "../i18n/format";
import type { ColourMap } from "../settings";
import { COLOURS } from "./colours";
import { Layer } from "./Layer";

/** The colours from little to much, in words. */
export function Legend({ map, label }: { map: ColourMap; label: string }) {
  const { t } = useFormat();
  const pixels = useMemo(() => {
    const line = new ImageData(256, 1);
    for (let value = 0; value < 256; value += 1) {
      line.data.set([...COLOURS[map].subarray(3 * value, 3 * value + 3), 255], 4 * value);
    }
    return line;
  }, [map]);
  return (
    <div className="legend">
      <span>{t("legendLow")}</span>
      <Layer pixels={pixels} label={t("colourMap")} />
      <span>{t("legendHigh", { label })}</span>
      <p className="dim">{t("legendNote")}</p>
    </div>
  );
}
