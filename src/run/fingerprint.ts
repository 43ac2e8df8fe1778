import { createHash } from "node:crypto";
import type { Config } from "../config/config.ts";
import type { CopyWork } from "../volume/copy-work.ts";

/**
 * Digest of every option that changes what stands on the volume in the end. Endpoint, credentials and limits do not:
 * another attempt may well come by another way.
 */
export function fingerprint({ source, target }: Config): string {
  const { bucket, path, include, exclude, filesFrom } = source;
  const { uid, gid, fileMode, dirMode, chownRoot, mtime, unsupported } = target;
  const selection = [bucket, path, include, exclude, filesFrom ?? null, unsupported];
  const result = [uid ?? null, gid ?? null, fileMode, dirMode, chownRoot, mtime];
  return createHash("sha256")
    .update(JSON.stringify([selection, result]))
    .digest("hex");
}

/** What is being copied, for messages. */
export function describeSource({ source }: Config): string {
  return `oss://${source.bucket}/${source.path}`;
}

/** Which copy into a target this is: the same bucket and path, whatever the filters, and the same shard. */
export function copyWorkOf({ source: { bucket, path, shard } }: Config): CopyWork {
  // With and without a trailing slash a path can name the same directory.
  const what = JSON.stringify([bucket, path.replace(/\/$/, "")]);
  const source = createHash("sha256").update(what).digest("hex").slice(0, 16);
  return { source, index: shard?.index ?? 0, count: shard?.count ?? 1 };
}
