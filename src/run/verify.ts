import type { Config } from "../config/config.ts";
import { LocalFiles } from "../data/local-files.ts";
import { verifyAll } from "../engine/verify-run.ts";
import { prepareTarget } from "../volume/target.ts";
import { connect } from "./connect.ts";
import { targetOptions } from "./hold-target.ts";
import type { RunHost } from "./host.ts";
import { openSource, pathRules } from "./source.ts";
import type { RunState } from "./state.ts";

/** Files whose bytes are read at once: more would only make a disk seek. */
const mostFilesAtOnce = 8;

/** Audits a directory against the source; writes nothing. */
export async function runVerify(config: Config, host: RunHost, state: RunState): Promise<void> {
  const target = await prepareTarget(targetOptions(config, host));
  await using connection = await connect(config, host, state);
  const source = await openSource(config, connection, host, state);
  state.phase = "copying";
  using local = new LocalFiles(target.root);
  const parts = { ...connection, ledger: state.ledger, rules: pathRules, local };
  const options = {
    select: source.select,
    unsupported: config.target.unsupported,
    maxFailures: config.effort.maxFailures,
    concurrency: Math.min(mostFilesAtOnce, config.effort.concurrency),
    sorted: source.sorted,
    extras: source.kind === "directory" && source.sorted,
    lengthProves: true,
  };
  const { sourceDigest } = await verifyAll(source.pages, source.prefix, parts, options, host.signal);
  state.sourceDigest = sourceDigest;
}
