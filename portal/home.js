// The start page: send images, see progress, open what was analysed.

import { h } from "./dom.js";
import { TASKS } from "./study.js";
import { currentLanguage, moment, t, word } from "./texts.js";

export const STEPS = ["received", "decoded", "dispatched", "predicted", "stored"];

function upload(act) {
  const input = h("input", {
    id: "files", type: "file", multiple: true, class: "hidden",
    onchange: () => act.send([...input.files]),
  });
  return h("div", { class: "drop", id: "drop" },
    h("h1", {}, t("drop")),
    h("p", { class: "dim", id: "drop-hint" }, t("dropHint")),
    input, h("label", { for: "files", class: "button primary" }, t("choose")),
    h("p", { class: "dim" }, t("privacy")));
}

function progress(reached) {
  const done = STEPS.indexOf(reached);
  return h("div", { class: "drop busy", "aria-busy": "true" },
    h("h1", {}, h("span", { class: "spinner", "aria-hidden": "true" }), t("working")),
    h("ol", { class: "steps", "aria-live": "polite" }, STEPS.map((step, n) =>
      h("li", { class: n <= done ? "done" : n === done + 1 ? "now" : "", "aria-current": n === done + 1 && "step" }, t(`step.${step}`)))));
}

function samplesOf(samples, busy, act) {
  if (!samples?.length) return null;
  return h("section", { "aria-labelledby": "samples" },
    h("h2", { id: "samples" }, t("samples")),
    h("div", { class: "samples" }, samples.map((sample) =>
      h("button", { type: "button", disabled: busy, onclick: () => act.sendSample(sample.file) }, sample.title[currentLanguage()]))));
}

function recentOf(analyses, act) {
  const list = () => h("table", {},
    h("thead", {}, h("tr", {}, ["when", "image", "finding", "actions"].map((key) => h("th", { scope: "col" }, t(key))))),
    h("tbody", {}, analyses.map((analysis) => {
      const when = moment(analysis.created);
      return h("tr", {},
        h("td", {}, when),
        h("td", {}, word("modality", analysis.modality.label)),
        h("td", {}, TASKS[analysis.result.task].summary(analysis)),
        h("td", {}, h("div", { class: "row" },
          h("a", { class: "button", href: `/studies/${analysis.id}`, "aria-label": `${t("open")}: ${when}`, onclick: (event) => act.open(event, analysis.id) }, t("open")),
          h("button", { type: "button", "aria-label": `${t("remove")}: ${when}`, onclick: () => act.remove(analysis.id) }, t("remove")))));
    })));
  return h("section", { "aria-labelledby": "recent" },
    h("h2", { id: "recent" }, t("recent")),
    analyses === null ? h("p", { class: "dim" }, t("loading"))
      : analyses.length ? list() : h("p", { class: "empty" }, t("noRecent")));
}

function modelsOf(models) {
  if (models === null) return null;
  const language = currentLanguage();
  const readers = models.filter((model) => model.task !== "modality");
  return h("section", { "aria-labelledby": "models" },
    h("h2", { id: "models" }, t("models")),
    readers.length ? h("ul", { class: "models" }, readers.map((model) => h("li", {},
      h("strong", {}, model.title[language]), h("span", { class: "dim" }, `${word("task", model.task)} · ${model.version} · ${model.runtime}`),
      h("p", {}, model.intended_use[language]))))
      : h("p", { class: "empty" }, t("noModels")));
}

/** The page for `state` {analyses, models, samples, step}; `act` holds what its buttons do. */
export function home({ analyses, models, samples, step }, act) {
  const busy = step !== null;
  return h("div", { class: "home" },
    h("div", {}, busy ? progress(step) : upload(act), samplesOf(samples, busy, act), modelsOf(models)),
    h("div", {}, recentOf(analyses, act)));
}
