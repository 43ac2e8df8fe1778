/** The OIDC token of a service account, from the file that the kubelet keeps. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { CopyError } from "../errors.ts";
import { codeOf } from "./http/failures.ts";
import { printable } from "./printable.ts";

/** Tokens have some thousand bytes; whatever is larger is another file. */
const mostTokenBytes = 64 * 1024;
/** Whoever replaces the file in place leaves it empty for a moment. */
const emptyLooks = 3;
const emptyPauseMs = 50;

/**
 * The token without white space at its ends. Throws CopyError `credentials` with what to change where there is none to be
 * read, or the signal's reason.
 */
export async function readToken(path: string, signal: AbortSignal): Promise<string> {
  for (let look = 1; ; look++) {
    const token = (await readText(path)).trim();
    if (token !== "") return token;
    if (look === emptyLooks) throw new CopyError("credentials", `the OIDC token file ${printable(path)} is empty`);
    await sleep(emptyPauseMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

async function readText(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    // Not to hang on a FIFO.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(mostTokenBytes + 1), 0, mostTokenBytes + 1, 0);
    bytes = buffer.subarray(0, bytesRead);
  } catch (error) {
    throw new CopyError("credentials", sentence(printable(path), codeOf(error)), { cause: error });
  }
  if (bytes.length <= mostTokenBytes) return bytes.toString("utf8");
  throw new CopyError(
    "credentials",
    `the OIDC token file ${printable(path)} is no token: it has more than ${mostTokenBytes} bytes`,
  );
}

function sentence(path: string, code: string | undefined): string {
  if (code === "EACCES" || code === "EPERM") {
    const user = process.getuid?.() ?? "unknown";
    return (
      `the OIDC token file ${path} may not be read by user ${user}: ` +
      "set runAsUser or fsGroup in the pod's securityContext, or a wider defaultMode on the token's volume"
    );
  }
  if (code === "ENOENT" || code === "ENOTDIR") {
    return (
      `the OIDC token file ${path} does not exist: ` +
      "is RRSA enabled for this pod's namespace and service account, or should --oidc-token-file name another?"
    );
  }
  return `the OIDC token file ${path} cannot be read (${code ?? "unknown error"})`;
}
