/** Fuzzes every parser and both transports: `npm run fuzz -- --seconds 60`, the time of each campaign. */
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "60" } },
});
const seconds = Number(values.seconds);
if (!Number.isSafeInteger(seconds) || seconds < 1) throw new RangeError("--seconds must be a whole number from 1");
const env = { ...process.env, FUZZ_SECONDS: String(seconds) };
const names = positionals.length > 0 ? positionals : ["test/fuzz"];
process.exitCode = spawnSync("vitest", ["run", ...names], { stdio: "inherit", env }).status ?? 1;
