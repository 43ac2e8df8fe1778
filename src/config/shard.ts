import type { Shard } from "../types.ts";
import { options } from "./options.ts";
import { parseText, type Settings } from "./settings.ts";
import type { Environment } from "./texts.ts";

/** Set by Kubernetes in each pod of an Indexed Job. */
const indexVariable = "JOB_COMPLETION_INDEX";

/** The share of this process; undefined without `--shard-count`. After a problem it may stand in for what is not known. */
export function shardConfig(settings: Settings, env: Environment, problems: string[]): Shard | undefined {
  const count = settings.get("shard-count");
  const given = settings.get("shard-index");
  if (count === undefined) {
    if (given !== undefined && !settings.broken("shard-count")) {
      problems.push(`${settings.label("shard-index")} needs --shard-count, the number of shards`);
    }
    return undefined;
  }
  if (settings.broken("shard-index")) return undefined;
  const index = given ?? indexFromJob(env, problems);
  if (index === undefined) return undefined;
  if (index < count) return { index, count };
  const label = given === undefined ? indexVariable : settings.label("shard-index");
  problems.push(`${label} is ${index}, but must be below ${settings.label("shard-count")}, which is ${count}`);
  return undefined;
}

function indexFromJob(env: Environment, problems: string[]): number | undefined {
  const text = env[indexVariable];
  if (text !== undefined && text !== "") {
    return parseText({ text, label: indexVariable, from: "variable" }, options["shard-index"].kind, problems);
  }
  problems.push(`the index of the shard is missing: give --shard-index, or run in an Indexed Job (${indexVariable})`);
  return undefined;
}
