// The page of the portal: its state, its two addresses (/ and /studies/<id>), and what its buttons do.

import * as api from "./api.js";
import { h } from "./dom.js";
import { home } from "./home.js";
import { replaceExplanation, study } from "./study.js";
import { currentLanguage, setLanguage, t } from "./texts.js";

const state = {
  analysis: null, // the one that is open
  analyses: null, // the recent ones; null until they are known
  models: null,
  samples: null,
  step: null, // last progress step of the upload that is under way; null when none is
  explaining: false,
};

const element = (id) => document.getElementById(id);

function showError(error) {
  const [title, detail] =
    error instanceof api.Problem ? [error.title, error.message]
      : error instanceof TypeError ? [t("failed"), t("offline")] // what fetch throws where no answer comes
        : [t("failed"), error.message];
  element("alert").replaceChildren(h("div", {}, h("strong", {}, title), h("span", {}, detail)));
}

const clearError = () => element("alert").replaceChildren();

/** What stands around every page. */
function translateFrame() {
  document.documentElement.lang = currentLanguage();
  element("disclaimer").textContent = t("disclaimer");
  element("confirm-cancel").textContent = t("cancel");
  element("confirm-delete").textContent = t("remove");
  for (const button of element("languages").children) {
    button.setAttribute("aria-pressed", String(button.dataset.language === currentLanguage()));
  }
}

function render() {
  translateFrame();
  element("main").replaceChildren(
    state.analysis && state.step === null ? study(state.analysis, state.models, state.explaining, act) : home(state, act),
  );
}

const act = {
  async send(files) {
    if (!files.length || state.step !== null) return;
    clearError();
    Object.assign(state, { step: "", analysis: null });
    render();
    let id = null;
    // The explanation comes later; by then another analysis may be open.
    const explain = (explaining, explanation) => {
      state.explaining = explaining;
      if (id === null || state.analysis?.id !== id) return;
      if (explanation) state.analysis = { ...state.analysis, explanation };
      replaceExplanation(state.analysis, explaining);
    };
    const hear = {
      progress({ step }) {
        if (step === "explaining") return explain(true);
        if (id !== null) return undefined;
        state.step = step;
        return render();
      },
      result(analysis) {
        id = analysis.id;
        history.pushState(null, "", `/studies/${id}`);
        Object.assign(state, { step: null, analysis });
        return render();
      },
      explanation: (explanation) => explain(false, explanation),
    };
    try {
      await api.analyse(files, currentLanguage(), (name, data) => hear[name]?.(data));
      if (id === null) throw new Error(t("broken"));
    } catch (error) {
      showError(error);
    }
    explain(false);
    if (id !== null) return;
    state.step = null;
    await show();
  },

  async sendSample(name) {
    try {
      await act.send([await api.sampleFile(name)]);
    } catch (error) {
      showError(error);
    }
  },

  open: (event, id) => follow(event, `/studies/${id}`),
  home: (event) => follow(event, "/"),

  async remove(id) {
    element("confirm-text").textContent = t("confirmDelete");
    const dialog = element("confirm");
    dialog.returnValue = "cancel";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue !== "delete") return;
    try {
      await api.deleteAnalysis(id);
      history.pushState(null, "", "/");
      await show();
    } catch (error) {
      showError(error);
    }
  },

  pictureMissing: () => showError(new api.Problem({ title: t("noPictureTitle"), detail: t("noPicture") })),
};

/** Follow a link of this page without loading it anew; with a modifier key the browser does what it does. */
function follow(event, path) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  clearError();
  history.pushState(null, "", path);
  show();
}

/** Show what the address says. */
async function show() {
  const id = /^\/studies\/([^/]+)$/.exec(location.pathname)?.[1];
  try {
    if (id) state.analysis = await api.getAnalysis(decodeURIComponent(id));
    else {
      state.analysis = null;
      render();
      state.analyses = await api.listAnalyses();
    }
  } catch (error) {
    Object.assign(state, { analysis: null, analyses: state.analyses ?? [] });
    showError(error);
  }
  render();
}

element("brand").addEventListener("click", (event) => act.home(event));
element("languages").addEventListener("click", (event) => {
  const next = event.target.dataset.language;
  if (!next) return;
  setLanguage(next);
  render();
});
window.addEventListener("popstate", () => {
  clearError();
  show();
});
window.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
window.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
window.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  act.send([...event.dataTransfer.files]);
});

translateFrame();
element("main").replaceChildren(h("p", { class: "loading dim" }, t("loading")));
await Promise.all([
  api.listModels().then((models) => (state.models = models)),
  api.listSamples().then((samples) => (state.samples = samples)),
]).catch(showError);
await show();
