// What is read from the router and kept in memory: TanStack Query's keys, and how an answer changes them.

import { QueryClient, queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import {
  type Analysis,
  api,
  data,
  type Explaining,
  type Explanation,
  explain,
  type Language,
  listSamples,
  type Me,
  type Models,
  Problem,
  type Verdict,
} from "./client";

export const PAGE = 100;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      // What was refused stays refused; what does not answer may be starting.
      retry: (count, error) => !(error instanceof Problem && error.status >= 400 && error.status < 500) && count < 2,
    },
  },
});

export const analysisQuery = (id: string) =>
  queryOptions({
    queryKey: ["analysis", id],
    queryFn: ({ signal }) => data<Analysis>(api.GET("/api/analyses/{id}", { params: { path: { id } }, signal })),
  });

export const modelsQuery = queryOptions({
  queryKey: ["models"],
  queryFn: ({ signal }) => data<Models>(api.GET("/api/models", { signal })),
  refetchInterval: (query) => (query.state.data?.items.length ? false : 5_000),
});

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: ({ signal }) => data<Me>(api.GET("/api/me", { signal })),
  staleTime: Infinity,
});

/** What the user may do; all of it until the router has said so, which refuses the rest by itself. */
export function useMay(): { see: boolean; change: boolean; export: boolean } {
  const roles = useQuery(meQuery).data?.roles;
  const has = (...wanted: Me["roles"]) => !roles || wanted.some((role) => roles.includes(role));
  return { see: has("viewer", "clinician"), change: has("clinician"), export: has("clinician", "operator") };
}

export const samplesQuery = queryOptions({ queryKey: ["samples"], queryFn: listSamples, staleTime: Infinity });

export const WORKLIST = ["worklist"];

/** A page of analyses older than `before`, the newest first. */
export async function worklistPage(before: string | null, signal: AbortSignal): Promise<Analysis[]> {
  const query = before === null ? { limit: PAGE } : { limit: PAGE, before };
  return (await data<{ items: Analysis[] }>(api.GET("/api/analyses", { params: { query }, signal }))).items;
}

function useKept() {
  const client = useQueryClient();
  return (id: string, change: (analysis: Analysis) => Analysis) => {
    client.setQueryData(analysisQuery(id).queryKey, (analysis) => analysis && change(analysis));
    void client.invalidateQueries({ queryKey: WORKLIST });
  };
}

export function useReview(id: string) {
  const keep = useKept();
  return useMutation({
    mutationFn: async (said: { verdict: Verdict; reason: string } | null) => {
      const params = { path: { id } };
      if (said !== null) return data<Analysis>(api.PUT("/api/analyses/{id}/review", { params, body: said }));
      await api.DELETE("/api/analyses/{id}/review", { params });
      return null;
    },
    onSuccess: (reviewed) => keep(id, (analysis) => reviewed ?? { ...analysis, review: null }),
  });
}

/** What hears of an explanation and shows it: the words so far as those of the LLM, then what is kept. */
export function explaining(id: string, language: Language): Explaining {
  const show = (change: (before: Explanation) => Explanation) =>
    queryClient.setQueryData(
      analysisQuery(id).queryKey,
      (analysis) => analysis && { ...analysis, explanation: change(analysis.explanation) },
    );
  return {
    words: (text) => show((before) => ({ ...before, text, language, source: "llm" })),
    explanation: (explanation) => show(() => explanation),
  };
}

export function useExplain(id: string) {
  return useMutation({ mutationFn: (language: Language) => explain(id, language, explaining(id, language)) });
}

export function useRemove(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async () => {
      await api.DELETE("/api/analyses/{id}", { params: { path: { id } } });
    },
    onSuccess: () => {
      client.removeQueries({ queryKey: ["analysis", id] });
      return client.invalidateQueries({ queryKey: WORKLIST });
    },
  });
}
