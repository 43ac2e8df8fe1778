import { readFile } from "node:fs/promises";
import { bucketName, openScene, type Scene } from "../e2e/support/scene.ts";
import { differencesFrom } from "../e2e/support/tree.ts";
import type { GenerateOptions } from "../emulator/generated-set.ts";
import { makeControlGroup, noControlGroup } from "../support/cgroup.ts";

const prefix = "data/";
const mib = 2 ** 20;
const kib = 2 ** 10;
const memoryBytes = 256 * mib;
const patienceMs = 1_800_000;

export interface SmallMemory {
  readonly sets: readonly Pick<GenerateOptions, "count" | "sizeBytes" | "perDirectory">[];
  readonly tls?: boolean;
}

const large = { count: 4, sizeBytes: 512 * mib };

/** What the bench copies to disk. */
export const benchSets = {
  large: { sets: [large] },
  "large-tls": { sets: [large], tls: true },
  single: { sets: [{ count: 1, sizeBytes: 2048 * mib }] },
  small: { sets: [{ count: 10_000, sizeBytes: 16 * kib, perDirectory: 1000 }] },
  mixed: {
    sets: [
      { count: 2, sizeBytes: 512 * mib },
      { count: 4000, sizeBytes: { min: 4 * kib, max: 64 * kib }, perDirectory: 1000 },
      { count: 64, sizeBytes: { min: mib, max: 16 * mib } },
    ],
  },
} as const satisfies Record<string, SmallMemory>;

export interface SmallMemoryOutcome {
  /** Of the process alone; the page cache of its files comes on top. */
  readonly peakRssBytes: number;
  readonly seconds: number;
  /** How often the kernel had to take memory back before it could give more; NaN where it does not say. */
  readonly squeezed: number;
  readonly wrong: readonly string[];
}

/**
 * Populates a directory on disk in a control group of 256 MiB, in which the page cache counts too; why not, where no such
 * group can be made.
 */
export async function copyInSmallMemory({ sets, tls = false }: SmallMemory): Promise<SmallMemoryOutcome | string> {
  await using group = await makeControlGroup(`oss-populator-soak-${process.pid}`, { cpus: 16, memoryBytes });
  if (group === undefined) return noControlGroup;
  await using scene = await openScene({ tls });
  for (const [number, set] of sets.entries())
    scene.emulator.generate({ bucket: bucketName, prefix: `${prefix}${number}/`, ...set });
  const joins = Object.values(group.directories).map((directory) => `echo $$ > ${directory}/cgroup.procs`);
  const wrapper = ["sh", "-c", `${joins.join(" && ")} && exec "$@"`, "sh"];
  const { exitCode, report, elapsedMs } = await scene.run("populate", caOf(scene), { wrapper, patienceMs });
  const wrong = await differencesFrom(scene.bucket, scene.target, { prefix });
  if (exitCode !== 0) wrong.push(`it ended with ${exitCode}: ${report?.reason}`);
  const kills = await group.oomKills();
  if (kills !== 0) wrong.push(`${kills} processes were killed for want of memory`);
  const squeezed = await readFile(`${group.directories.memory}/memory.failcnt`, "utf8").then(Number, () => Number.NaN);
  const peakRssBytes = report?.resources.peakRssBytes ?? Number.NaN;
  return { peakRssBytes, seconds: Math.round(elapsedMs / 1000), squeezed, wrong };
}

function caOf({ emulator }: Scene): string[] {
  return emulator.caFile === undefined ? [] : ["--ca-file", emulator.caFile];
}
