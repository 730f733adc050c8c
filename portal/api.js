// The router's API: JSON, problem documents (RFC 9457) and server-sent events (WHATWG HTML, section 9.2).

/** An answer that is a problem document: title and detail for people. */
export class Problem extends Error {
  constructor({ title, detail, status }) {
    super(detail ?? "");
    this.title = title;
    this.status = status;
  }
}

async function request(url, options) {
  const response = await fetch(url, options);
  if (response.ok) return response;
  const type = response.headers.get("Content-Type") ?? "";
  throw new Problem(
    type.startsWith("application/problem+json")
      ? await response.json()
      : { title: `HTTP ${response.status}`, detail: response.statusText, status: response.status },
  );
}

const json = async (url) => (await request(url, { headers: { Accept: "application/json" } })).json();

const analysisUrl = (id) => `/api/analyses/${encodeURIComponent(id)}`;

export const imageUrl = (id, n) => `${analysisUrl(id)}/images/${n}.png`;
export const maskUrl = (id, n) => `${analysisUrl(id)}/masks/${n}.png`;
export const heatmapUrl = (id) => `${analysisUrl(id)}/heatmap.png`;

export const listAnalyses = async () => (await json("/api/analyses")).items;
export const listModels = async () => (await json("/api/models")).items;
export const getAnalysis = (id) => json(analysisUrl(id));
export const deleteAnalysis = (id) => request(analysisUrl(id), { method: "DELETE" });

/** The samples; none where the deployment offers none. */
export async function listSamples() {
  try {
    return (await json("/samples/index.json")).items;
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return [];
    throw error;
  }
}

/** A sample as a file to send. */
export async function sampleFile(name) {
  return new File([await (await request(`/samples/${encodeURIComponent(name)}`)).blob()], name);
}

/** Send files and hear of each event, `hear(name, data)`, until the stream ends; throws a Problem for `error`. */
export async function analyse(files, language, hear) {
  const body = new FormData();
  for (const file of files) body.append("files", file);
  body.append("language", language);
  const response = await request("/api/analyses", { method: "POST", body, headers: { Accept: "text/event-stream" } });
  for await (const [name, data] of events(response.body)) {
    if (name === "error") throw new Problem(data);
    hear(name, data);
  }
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    // A lone CR may be the first half of CR LF, so it waits for the next piece.
    text = (text + value).replace(/\r\n/g, "\n");
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = parse(block);
      if (event) yield event;
    }
  }
}

function parse(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (field === "event") name = value;
    if (field === "data") data.push(value);
  }
  return data.length ? [name, JSON.parse(data.join("\n"))] : null; // comments keep the connection open
}
