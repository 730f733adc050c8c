// The page of one analysis: image left, answer and explanation right.

import * as classification from "./classification.js";
import * as segmentation from "./segmentation.js";
import { h } from "./dom.js";
import { currentLanguage, moment, number, percent, t, word } from "./texts.js";

/** The view of each task. */
export const TASKS = { classification, segmentation };

function explanationOf({ explanation }, explaining) {
  const source = explanation.source === "llm" ? t("llm", { model: explanation.model }) : t("template");
  return h("section", { "aria-labelledby": "explanation", "aria-live": "polite", "aria-busy": String(explaining) },
    h("h2", { id: "explanation" }, t("explanation")),
    h("p", { class: "words", lang: explanation.language }, explanation.text),
    h("p", { class: "dim" }, explaining ? t("explaining") : source));
}

function rows(...pairs) {
  return h("dl", {}, pairs.filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function detailsOf({ model, modality, input, created, timings_ms: timings }, card) {
  const language = currentLanguage();
  const confidence = modality.confidence == null ? "" : `, ${t("confidence", { value: percent(modality.confidence) })}`;
  const spacing = input.spacing_mm;
  const taken = timings.total ?? Object.values(timings).reduce((sum, each) => sum + each, 0);
  return h("section", { "aria-labelledby": "details" },
    h("h2", { id: "details" }, t("details")),
    rows(
      [t("model"), card ? card.title[language] : model.name],
      [t("version"), `${model.name} ${model.version}${model.variant === "canary" ? ` (${t("canary")})` : ""}`],
      [t("runtime"), model.runtime],
      [t("modality"), `${word("modality", modality.label)} (${t(`source.${modality.source}`)}${confidence})`],
      [t("input"), `${input.kind.toUpperCase()}, ${input.images === 1 ? t("oneImage") : t("images", { n: input.images })}`],
      spacing && [t("spacing"), [spacing.row, spacing.column, spacing.slice].filter((mm) => mm != null).map((mm) => number(mm, 2)).join(" × ")],
      [t("created"), moment(created)],
      [t("time"), t("seconds", { n: number(taken / 1000, 2) })],
      card && [t("use"), card.intended_use[language]],
      card && [t("notFor"), card.not_for[language]],
      card && [t("limits"), card.limits[language]],
    ));
}

/** The page; `explaining`: a better explanation is on its way; `act` holds what its buttons do. */
export function study(analysis, models, explaining, act) {
  const task = TASKS[analysis.result.task];
  const card = models?.find((each) => each.name === analysis.model.name);
  const page = h("div", { class: "study" },
    h("section", { class: "viewer", "aria-label": t("image") },
      task.viewer(analysis, () => page.isConnected && act.pictureMissing())),
    h("aside", { class: "report" },
      task.headline(analysis), explanationOf(analysis, explaining), detailsOf(analysis, card),
      h("div", { class: "row" },
        h("a", { class: "button", href: "/", onclick: act.home }, t("back")),
        h("button", { type: "button", class: "danger", onclick: () => act.remove(analysis.id) }, t("remove")))));
  return page;
}

/** The explanation alone, put in place of the one that stands: the image and its sliders stay as they are. */
export function replaceExplanation(analysis, explaining) {
  document.getElementById("explanation").parentElement.replaceWith(explanationOf(analysis, explaining));
}
