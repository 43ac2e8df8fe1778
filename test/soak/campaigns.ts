import { runScenario } from "../engine/killed-scenario.ts";
import { type Filesystem, whyNoDisk } from "../support/lossy-disk/disk.ts";
import { type CostSet, measureCheckpoints } from "./checkpoint-cost.ts";
import {
  killFreshCopyEverywhere,
  killFreshEverywhere,
  killResumedCopyEverywhere,
  killResumedEverywhere,
} from "./kill-points.ts";
import { killAndComplete, killSets } from "./kills.ts";
import { killUnderLimit } from "./limited-kill.ts";
import { losePower } from "./power-loss.ts";

/** What a campaign has tried so far. */
export interface Tally {
  tried: number;
  /** What `tried` counts. */
  readonly unit: string;
  /** What was seen besides, for the table. */
  remark: string;
  readonly failed: string[];
  skipped?: string;
}

export interface SoakOptions {
  readonly kills: number;
  readonly powerLosses: number;
  readonly scenarios: number;
  readonly random: () => number;
  /** Called after each round, and false ends the campaign: its time is over. */
  readonly goesOn: () => boolean;
}

export interface Campaign {
  readonly name: string;
  run(tally: Tally, options: SoakOptions): Promise<void>;
  readonly unit: string;
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

/** Random kills over one set of objects. */
function killsOf(name: keyof typeof killSets): Campaign {
  return {
    name: `kills at random moments, ${name} objects`,
    unit: "kills",
    async run(tally, { kills, random, goesOn }) {
      const total = Math.ceil(kills / Object.keys(killSets).length);
      const seen = { volumes: 0, withoutCheckpoint: 0, lostBytes: 0, allowedBytes: 0 };
      while (tally.tried < total && goesOn()) {
        const wanted = Math.min(total - tally.tried, 2 + Math.floor(random() * 8));
        const outcome = await killAndComplete(killSets[name], wanted, random);
        tally.tried += outcome.kills;
        tally.failed.push(...outcome.wrong);
        seen.volumes++;
        seen.withoutCheckpoint += outcome.withoutCheckpoint;
        for (const loss of outcome.losses) {
          seen.lostBytes += loss.lostBytes;
          seen.allowedBytes += loss.allowedBytes;
        }
        tally.remark =
          `${seen.volumes} volumes; ${seen.withoutCheckpoint} before a checkpoint of their own; ` +
          `${megabytes(seen.lostBytes)} fetched again of ${megabytes(seen.allowedBytes)} allowed`;
      }
    },
  };
}

function pointsOf(name: string, kill: typeof killFreshEverywhere): Campaign {
  return {
    name: `kills in place of every change, ${name}`,
    unit: "kills",
    async run(tally) {
      const { tried, wrong } = await kill();
      tally.tried += tried;
      tally.failed.push(...wrong);
    },
  };
}

function powerLosses(filesystem: Filesystem, takes: "unflushed" | "nothing"): Campaign {
  return {
    name: `loss of power on ${filesystem} that takes ${takes === "nothing" ? takes : "what was not flushed"}`,
    unit: "losses",
    async run(tally, { powerLosses: total, random, goesOn }) {
      const why = await whyNoDisk(filesystem, takes);
      if (why !== undefined) {
        tally.skipped = why;
        return;
      }
      const seen = { resumed: 0, lostSectors: 0 };
      const ways = (["populate", "copy"] as const).flatMap((verb) =>
        (["syncfs", "fsync"] as const).map((method) => ({ verb, method })),
      );
      for (let round = 0; tally.tried < total / 4 && goesOn(); round++) {
        const way = ways[round % ways.length];
        if (!way) return;
        const outcome = await losePower({ filesystem, takes, ...way, during: 4, atTheEnd: 3, random });
        tally.tried += outcome.losses;
        tally.failed.push(...outcome.wrong.map((text) => `${way.verb} by ${way.method}: ${text}`));
        seen.resumed += outcome.resumed;
        seen.lostSectors += outcome.lostSectors;
        tally.remark = `${seen.resumed} went on from a checkpoint; ${seen.lostSectors} sectors of 4 KiB lost`;
      }
    },
  };
}

function limited(name: string, kill: Parameters<typeof killUnderLimit>[0]): Campaign {
  return {
    name: `kill at --throughput ${kill.limitMbps}, ${name}`,
    unit: "kills",
    async run(tally) {
      const { sentBytes, againBytes, wrong } = await killUnderLimit(kill);
      tally.tried++;
      tally.failed.push(...wrong);
      tally.remark = `killed after ${megabytes(sentBytes)}; ${megabytes(againBytes)} fetched again`;
    },
  };
}

function costOf(name: string, set: CostSet): Campaign {
  return {
    name: `cost of checkpoints, ${name}`,
    unit: "checkpoints",
    async run(tally) {
      const { checkpoints, tookSeconds, runSeconds } = await measureCheckpoints(set);
      tally.tried += checkpoints;
      tally.remark = `${tookSeconds} s of ${runSeconds} s: ${((100 * tookSeconds) / runSeconds).toFixed(1)} %`;
    },
  };
}

const engine: Campaign = {
  name: "the engine over a model of a disk that crashes",
  unit: "scenarios",
  async run(tally, { scenarios, random, goesOn }) {
    const sum = { killed: 0, resumed: 0, failed: 0 };
    while (tally.tried < scenarios && goesOn()) {
      const seed = Math.floor(random() * 2 ** 30);
      tally.tried++;
      try {
        const { killed, resumed, failed } = await runScenario(seed);
        sum.killed += killed;
        sum.resumed += resumed;
        sum.failed += failed;
      } catch (error) {
        tally.failed.push(`seed ${seed}: ${String(error)}`);
      }
      tally.remark = `${sum.killed} runs killed, ${sum.failed} ended by faults, ${sum.resumed} went on from a checkpoint`;
    }
  },
};

export const campaigns: readonly Campaign[] = [
  engine,
  killsOf("small"),
  killsOf("large"),
  killsOf("mixed"),
  pointsOf("empty volume", killFreshEverywhere),
  pointsOf("volume with a checkpoint", killResumedEverywhere),
  pointsOf("copy", killFreshCopyEverywhere),
  pointsOf("copy with unfinished objects", killResumedCopyEverywhere),
  powerLosses("ext4", "unflushed"),
  powerLosses("xfs", "unflushed"),
  powerLosses("ext4", "nothing"),
  powerLosses("xfs", "nothing"),
  costOf("4 objects of 512 MiB", { objects: 4, sizeBytes: 512 * 2 ** 20 }),
  costOf("100,000 objects of 4 KiB", { objects: 100_000, sizeBytes: 4096 }),
  limited("100,000 objects of 16 KiB", {
    objects: 100_000,
    sizeBytes: 16_384,
    limitMbps: 100,
    killAtBytes: 800e6,
    complete: true,
  }),
  limited("an object of 8 GiB", { objects: 1, sizeBytes: 2 ** 33, limitMbps: 100, killAtBytes: 2e9, complete: false }),
];
