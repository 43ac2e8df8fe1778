/**
 * `node test/examples/dashboard/render.ts` draws the dashboard of a real run of dist/cli.js against the emulator into
 * examples/grafana-dashboard.svg, or into the file that is named.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readDashboard } from "./dashboard.ts";
import { scrapeRealRun } from "./real-run.ts";
import { drawDashboard } from "./svg.ts";
import { troubles } from "./troubles.ts";

const [file = fileURLToPath(new URL("../../../examples/grafana-dashboard.svg", import.meta.url))] =
  process.argv.slice(2);
writeFileSync(file, drawDashboard(readDashboard(), await scrapeRealRun(troubles)));
