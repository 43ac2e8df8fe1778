/** Kills and losses of power for as long as one likes: `npm run soak -- --help`. Closes with a table; 1 if anything failed. */
import { parseArgs } from "node:util";
import { seededRandom } from "../support/fake-clock.ts";
import { type Campaign, campaigns, type SoakOptions, type Tally } from "./campaigns.ts";
import { numbers } from "./numbers.ts";

const help = `npm run soak -- [options]
  --kills N          kills at random moments, over three sets of objects (200)
  --power-losses N   losses of power, over two filesystems and two kinds of disk (112)
  --scenarios N      runs of the engine over a model (5000)
  --minutes N        time of each campaign at most; what is under way comes to its end (no limit)
  --only TEXT        campaigns whose name has this in it; repeatable
  --seed N           seed of all chance (the time)
  --numbers          measures instead what many keys, a huge object and little memory come to
`;

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "200" },
    "power-losses": { type: "string", default: "112" },
    scenarios: { type: "string", default: "5000" },
    minutes: { type: "string", default: "Infinity" },
    seed: { type: "string", default: String(Date.now() % 1_000_000_000) },
    only: { type: "string", multiple: true, default: [""] },
    numbers: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

/** How often a campaign says how far it is. */
const tellMs = 10_000;

function numberOf(name: "kills" | "power-losses" | "scenarios" | "minutes" | "seed"): number {
  const number = Number(values[name]);
  if (Number.isNaN(number) || number < 0) throw new RangeError(`--${name} must be a number`);
  return number;
}

async function run(campaign: Campaign, options: Omit<SoakOptions, "goesOn">): Promise<Tally> {
  const tally: Tally = { tried: 0, unit: campaign.unit, remark: "", failed: [] };
  const startedMs = performance.now();
  const endsAtMs = startedMs + numberOf("minutes") * 60_000;
  let toldAtMs = startedMs;
  const goesOn = (): boolean => {
    const nowMs = performance.now();
    if (nowMs > toldAtMs + tellMs) {
      process.stderr.write(`  ${tally.tried} ${tally.unit}, ${tally.failed.length} failed; ${tally.remark}\n`);
      toldAtMs = nowMs;
    }
    return nowMs < endsAtMs;
  };
  process.stderr.write(`${campaign.name}\n`);
  try {
    await campaign.run(tally, { ...options, goesOn });
  } catch (error) {
    tally.failed.push(error instanceof Error ? String(error.stack) : String(error));
  }
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  tally.remark = [tally.skipped && `skipped: ${tally.skipped}`, tally.remark, `${seconds} s`]
    .filter(Boolean)
    .join("; ");
  return tally;
}

function row(cells: readonly (string | number)[]): string {
  return `| ${cells.join(" | ")} |`;
}

if (values.help) process.stdout.write(help);
else {
  const seed = numberOf("seed");
  process.stdout.write(`seed ${seed}\n`);
  const options = {
    kills: numberOf("kills"),
    powerLosses: numberOf("power-losses"),
    scenarios: numberOf("scenarios"),
    random: seededRandom(seed),
  };
  const rows: string[] = [];
  const failures: string[] = [];
  const all = values.numbers ? numbers : campaigns;
  for (const campaign of all.filter(({ name }) => values.only.some((text) => name.includes(text)))) {
    const { tried, unit, failed, remark } = await run(campaign, options);
    const cells = [campaign.name, `${tried} ${unit}`, failed.length, remark];
    process.stderr.write(`${row(cells)}\n`); // a soak that is stopped has not been for nothing
    rows.push(row(cells));
    failures.push(...failed.map((failure) => `${campaign.name}: ${failure}`));
  }
  const table = [row(["what was tried", "how often", "failed", "seen"]), row(["---", "---:", "---:", "---"]), ...rows];
  process.stdout.write(`\n${table.join("\n")}\n\n`);
  for (const failure of failures) process.stdout.write(`FAILED ${failure}\n`);
  process.stdout.write(failures.length === 0 ? "nothing failed\n" : `${failures.length} failures\n`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}
