import "./style/base.css";
import "./style/worklist.css";
import "./style/study.css";
import "./style/print.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { queryClient } from "./api/queries";
import { startLanguage } from "./i18n";

const root = document.getElementById("root");
if (!root) throw new Error("the page has no #root");
await startLanguage();
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <App />
    </QueryClientProvider>
  </StrictMode>,
);
