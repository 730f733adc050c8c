// The router's API. Its types are generated from the router's OpenAPI document (`make portal-types`).

import { EventSourceParserStream } from "eventsource-parser/stream";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type Analysis = Schemas["Analysis"];
export type Classification = Schemas["ClassificationResult"];
export type Segmentation = Schemas["SegmentationResult"];
export type Explanation = Schemas["Explanation"];
export type Model = Schemas["ModelCardInfo"];
export type Models = Schemas["ModelList"];
export type Me = Schemas["Me"];
export type Verdict = Schemas["Review"]["verdict"];
export type Language = Schemas["Explanation"]["language"];
export type Localised = Model["title"];
export type Sample = { file: string; title: Localised; modality: string };

/** An error in the router's words (a problem document, RFC 9457), or that no answer came (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly slug: string,
    readonly title: string,
    detail: string,
    readonly retryAfter: number | null = null,
  ) {
    super(detail);
  }
}

async function problemOf(response: Response): Promise<Problem> {
  const wait = Number(response.headers.get("Retry-After")) || null;
  if (response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    return described(await response.json(), wait);
  }
  return new Problem(response.status, "http", `HTTP ${response.status}`, response.statusText, wait);
}

function described(document: Schemas["ProblemDocument"], retryAfter: number | null): Problem {
  const slug = document.type.split("/").pop() ?? "";
  return new Problem(document.status, slug, document.title, document.detail, retryAfter);
}

/** `fetch` that throws a Problem for every answer that is none. */
async function asked(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const response = await fetch(input, init).catch((error: unknown) => {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "offline", "", "");
  });
  if (!response.ok) throw await problemOf(response);
  return response;
}

export const api = createClient<paths>({ fetch: asked });

/** The body of an answer, which the route of `paths` declares; `asked` has thrown where there is none. */
export async function data<T>(answer: Promise<{ data?: unknown }>): Promise<T> {
  return (await answer).data as T;
}

const pictures = (id: string) => `/api/analyses/${encodeURIComponent(id)}`;
export const imageUrl = (id: string, n: number) => `${pictures(id)}/images/${n}.png`;
export const maskUrl = (id: string, n: number) => `${pictures(id)}/masks/${n}.png`;
export const heatmapUrl = (id: string) => `${pictures(id)}/heatmap.png`;
export const pointsUrl = (id: string) => `${pictures(id)}/points.bin`;

export const fetchBlob = async (url: string, signal?: AbortSignal) =>
  (await asked(url, signal ? { signal } : {})).blob();

/** The samples; none where the deployment offers none. */
export async function listSamples(): Promise<Sample[]> {
  try {
    return (await (await asked("/samples/index.json")).json()).items;
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return [];
    throw error;
  }
}

export async function sampleFile(name: string): Promise<File> {
  return new File([await fetchBlob(`/samples/${encodeURIComponent(name)}`)], name);
}

/** The events of a streamed answer; throws the Problem of an `error` event. */
async function* events(url: string, init: RequestInit): AsyncGenerator<{ event: string; told: unknown }> {
  const response = await asked(url, {
    ...init,
    method: "POST",
    headers: { ...init.headers, Accept: "text/event-stream" },
  });
  const parsed = response.body?.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  const reader = parsed?.getReader();
  for (;;) {
    const next = await reader?.read();
    if (!next || next.done) return;
    const { event = "message", data: text } = next.value;
    const told = JSON.parse(text);
    if (event === "error") throw described(told, told.status === 503 ? 5 : null);
    yield { event, told };
  }
}

/** What is told of an explanation: its words so far, while an LLM writes, then all of it. */
export type Explaining = { words: (text: string) => void; explanation: (explanation: Explanation) => void };
export type Analysing = Explaining & { progress: (step: string) => void; result: (analysis: Analysis) => void };

function tellOfExplanation(event: string, told: unknown, tell: Explaining): void {
  if (event === "words") tell.words((told as { text: string }).text);
  if (event === "explanation") tell.explanation(told as Explanation);
}

/**
 * Send the files of one analysis and tell of each event until the stream ends.
 *
 * Throws a Problem where the router refuses them, or where the stream ends before a result.
 */
export async function analyse(files: File[], language: Language, tell: Analysing, signal: AbortSignal): Promise<void> {
  const body = new FormData();
  for (const file of files) body.append("files", file);
  body.append("language", language);
  let answered = false;
  for await (const { event, told } of events("/api/analyses", { body, signal })) {
    if (event === "progress") tell.progress((told as { step: string }).step);
    if (event === "result") {
      answered = true;
      tell.result(told as Analysis);
    }
    tellOfExplanation(event, told, tell);
  }
  if (!answered) throw new Problem(0, "broken", "", "");
}

/** Explain a stored analysis again. */
export async function explain(id: string, language: Language, tell: Explaining): Promise<void> {
  const init = { body: JSON.stringify({ language }), headers: { "Content-Type": "application/json" } };
  for await (const { event, told } of events(`${pictures(id)}/explanation`, init)) tellOfExplanation(event, told, tell);
}
