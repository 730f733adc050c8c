import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The router serves `dist/` under /static, with the page itself at / and /studies/{id}.
// `npx vite` serves the sources and hands the API on to a router that runs.
export default defineConfig({
  base: "/static/",
  plugins: [react()],
  build: { assetsInlineLimit: 0, target: "es2023", chunkSizeWarningLimit: 800 },
  server: { proxy: { "/api": "http://127.0.0.1:8000", "/samples": "http://127.0.0.1:8000" } },
});
