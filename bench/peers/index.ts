import { aliOss } from "./ali-oss.ts";
import { goSdk } from "./go-sdk.ts";
import { ossutil } from "./ossutil.ts";
import { ours } from "./ours.ts";
import type { Peer } from "./peer.ts";
import { pythonSdk } from "./python-sdk.ts";
import { rclone } from "./rclone.ts";
import { s5cmd } from "./s5cmd.ts";

const others = [aliOss, rclone, s5cmd, ossutil, goSdk, pythonSdk];

export const peerNames = others.map(({ name }) => name);

/** Ours first, then those of these names; throws a TypeError where one is not installed. */
export function choosePeers(names: readonly string[]): readonly Peer[] {
  const missing = names.filter((name) => !others.some((peer) => peer.name === name && peer.available));
  if (missing.length > 0) throw new TypeError(`not installed: ${missing.join(", ")} (see bench/peers/install)`);
  return [ours, ...others.filter(({ name }) => names.includes(name))];
}

/** Names of all that are installed. */
export function installedPeers(): readonly string[] {
  return others.filter(({ available }) => available).map(({ name }) => name);
}
