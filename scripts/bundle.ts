/** Bundles the program into a few modules of `dist/`: of a start's CPU time, half went into finding and linking 120 files. */
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const root = new URL("../", import.meta.url);
const path = (name: string): string => fileURLToPath(new URL(name, root));

const bundle = await rolldown({
  input: { cli: path("src/cli.ts"), index: path("src/index.ts"), thread: path("src/data/thread.ts") },
  platform: "node",
  // Packages stay what the package manager installed, with their versions and licences.
  external: /^[^./]/,
  onLog(_level, log) {
    throw new Error(log.message);
  },
});
await bundle.write({ dir: path("dist"), format: "esm", chunkFileNames: "[name].js" });
await bundle.close();
