import { lazy, type Ref, Suspense, useDeferredValue, useState } from "react";
import type { Analysis, Segmentation } from "../api/client";
import { useFormat } from "../i18n/format";
import StackView from "../viewer/StackView";
import type { Shown } from "../viewer/XrayView";
import { largestOf } from "./slices";

// Three.js is larger than all else together, and X-rays do not need it.
const CloudView = lazy(() => import("../cloud/CloudView"));

type Props = { analysis: Analysis; result: Segmentation; of: Ref<Shown> };

/** The slices left, the point cloud right; both show the same slice, and either chooses it. */
export function MriStudy({ analysis, result, of }: Props) {
  const { t } = useFormat();
  const [now, go] = useState(() => opening(result));
  // The slice is painted first, and the cloud follows in the next frame.
  const followed = useDeferredValue(now);
  return (
    <>
      <StackView {...{ analysis, result, now, go, of }} />
      <Suspense fallback={<p className="loading">{t("loading")}</p>}>
        <CloudView analysis={analysis} now={followed} go={go} />
      </Suspense>
    </>
  );
}

/** The slice with most marked; where nothing is marked the middle one. */
function opening({ slices }: Segmentation): number {
  const largest = largestOf(slices);
  return largest.area_fraction > 0 ? largest.index : Math.floor(slices.length / 2);
}
