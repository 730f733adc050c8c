// The uploads of this visit: two at a time, each with its progress. A reload forgets them; what was stored stays.

import { create } from "zustand";
import { type Analysing, type Analysis, analyse, type Explaining, Problem } from "../api/client";
import { analysisQuery, explaining, queryClient, WORKLIST } from "../api/queries";
import { useSettings } from "../settings";
import type { Group } from "./group";

const AT_ONCE = 2;
const TRIES = 24;

export type Upload = {
  key: number;
  name: string;
  files: File[];
  step: string;
  /** Seconds until the next try, while `step` is "later". */
  seconds: number;
  problem: Problem | null;
  analysis: Analysis | null;
  /** Whether an LLM's explanation is still to come. */
  open: boolean;
  stop: AbortController;
};

type Queue = { uploads: Upload[] };

export const useUploads = create<Queue>()(() => ({ uploads: [] }));

let next = 1;
const change = (key: number, to: Partial<Upload>) =>
  useUploads.setState(({ uploads }) => ({
    uploads: uploads.map((one) => (one.key === key ? { ...one, ...to } : one)),
  }));

const FINISHED = new Set(["done", "refused", "cancelled"]);
export const finished = (upload: Upload) => FINISHED.has(upload.step);

/** Queue one analysis for each group; gives back their keys. */
export function send(groups: Group[]): number[] {
  const added = groups.map(
    ({ name, files }): Upload => ({
      key: next++,
      name,
      files,
      step: "waiting",
      seconds: 0,
      problem: null,
      analysis: null,
      open: true,
      stop: new AbortController(),
    }),
  );
  useUploads.setState(({ uploads }) => ({ uploads: [...uploads, ...added] }));
  pump();
  return added.map((one) => one.key);
}

export function cancel(upload: Upload) {
  upload.stop.abort();
  change(upload.key, { step: "cancelled" });
  pump();
}

export function again(upload: Upload) {
  change(upload.key, { step: "waiting", problem: null, stop: new AbortController() });
  pump();
}

export const clear = () => useUploads.setState(({ uploads }) => ({ uploads: uploads.filter((one) => !finished(one)) }));

function pump() {
  const { uploads } = useUploads.getState();
  const running = uploads.filter((one) => !finished(one) && one.step !== "waiting").length;
  for (const upload of uploads.filter((one) => one.step === "waiting").slice(0, Math.max(0, AT_ONCE - running))) {
    void run(upload).finally(pump);
  }
}

async function run(upload: Upload) {
  const { key, files, stop } = upload;
  for (let left = TRIES; ; left -= 1) {
    try {
      change(key, { step: "sending" });
      await analyse(files, useSettings.getState().language, tell(key), stop.signal);
      change(key, { step: "done", open: false, files: [] });
      return;
    } catch (error) {
      if (stop.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      const wait = error.status === 503 || error.status === 429 ? error.retryAfter : null;
      if (wait === null || left <= 1) {
        change(key, { step: "refused", problem: error, open: false });
        return;
      }
      for (let seconds = wait; seconds > 0 && !stop.signal.aborted; seconds -= 1) {
        change(key, { step: "later", seconds });
        await new Promise((done) => setTimeout(done, 1000));
      }
      if (stop.signal.aborted) return;
    }
  }
}

function tell(key: number): Analysing {
  let shown: Explaining | null = null;
  return {
    progress: (step) => change(key, { step }),
    result: (analysis) => {
      shown = explaining(analysis.id, analysis.explanation.language);
      queryClient.setQueryData(analysisQuery(analysis.id).queryKey, analysis);
      change(key, { analysis });
      void queryClient.invalidateQueries({ queryKey: WORKLIST });
    },
    words: (text) => shown?.words(text),
    explanation: (explanation) => shown?.explanation(explanation),
  };
}
