import type { Campaign } from "./campaigns.ts";
import { copyHugeObject } from "./huge-object.ts";
import { type ManyObjects, measureMemory } from "./memory.ts";
import { benchSets, copyInSmallMemory } from "./small-memory.ts";

const million = 1_000_000;

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}

function memoryOf(name: string, set: ManyObjects): Campaign {
  return {
    name: `memory, ${set.objects.toLocaleString("en")} ${name}`,
    unit: "objects",
    async run(tally) {
      const outcome = await measureMemory(set);
      if (typeof outcome === "string") {
        tally.skipped = outcome;
        return;
      }
      const { millionBytes, peakBytes, seconds, wrong } = outcome;
      tally.tried += set.objects;
      tally.failed.push(...wrong);
      const perSecond = Math.round(set.objects / seconds).toLocaleString("en");
      tally.remark = `at most ${mebibytes(peakBytes)}, ${mebibytes(millionBytes)} for the first million; ${perSecond} a second`;
    },
  };
}

function smallMemory(name: keyof typeof benchSets): Campaign {
  return {
    name: `256 MiB for all, page cache included, ${name}`,
    unit: "runs",
    async run(tally) {
      const outcome = await copyInSmallMemory(benchSets[name]);
      if (typeof outcome === "string") {
        tally.skipped = outcome;
        return;
      }
      tally.tried++;
      tally.failed.push(...outcome.wrong);
      tally.remark = `${mebibytes(outcome.peakRssBytes)} of its own; the limit was met ${outcome.squeezed} times`;
    },
  };
}

function huge(name: string, sizeBytes: number): Campaign {
  return {
    name: `one object of ${name}`,
    unit: "objects",
    async run(tally) {
      const { peakBytes, seconds, wrong } = await copyHugeObject(sizeBytes);
      tally.tried++;
      tally.failed.push(...wrong);
      tally.remark = `at most ${mebibytes(peakBytes)} of memory; ${Math.round(sizeBytes / 1e6 / seconds)} MB/s`;
    },
  };
}

/** What is measured once, and takes its time: `npm run soak -- --numbers`. */
export const numbers: readonly Campaign[] = [
  memoryOf("keys in a dry run", { objects: 10 * million, sizeBytes: 1024, what: "list" }),
  memoryOf("objects, fetched and dropped", {
    objects: 10 * million,
    sizeBytes: 10,
    perDirectory: 1000,
    what: "fetch",
  }),
  memoryOf("empty files in one directory", { objects: million, sizeBytes: 0, what: "keep" }),
  smallMemory("large"),
  smallMemory("large-tls"),
  smallMemory("single"),
  smallMemory("small"),
  smallMemory("mixed"),
  huge("200 GiB", 200 * 2 ** 30),
];
