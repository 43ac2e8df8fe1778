import { CopyError } from "../errors.ts";
import type { DataPlane, SafePath } from "../types.ts";
import type { PathRules } from "./plan.ts";

/** What is needed to find files of earlier runs. */
export interface EarlierParts {
  readonly rules: PathRules;
  readonly plane: DataPlane;
}

/** Those of `keys` whose files stand on the volume, in the same order. What cannot be a file is none. */
export async function standingFiles(
  keys: readonly string[],
  prefixLength: number,
  { rules, plane }: EarlierParts,
): Promise<readonly string[]> {
  const named = keys.flatMap((key) => {
    const path = pathOf(key.slice(prefixLength), rules);
    return path === undefined ? [] : [{ key, path }];
  });
  const found = await plane.inspect(named.map(({ path }) => path));
  return named.flatMap(({ key }, i) => (found[i]?.kind === "file" ? [key] : []));
}

/** Keys that, as files, would stand where `key` or one after it may need a directory: its beginnings, shortest first. */
export function beginningsOf(key: string, prefixLength: number): readonly string[] {
  const lengths = Array.from({ length: Math.max(0, key.length - prefixLength) }, (_, i) => prefixLength + i + 1);
  return lengths.map((length) => key.slice(0, length)).filter((beginning) => !beginning.endsWith("/"));
}

/** Keys that, as files, would stand where `key` itself needs a directory, shortest first. */
export function ancestorsOf(key: string, prefixLength: number): readonly string[] {
  const ancestors: string[] = [];
  for (let at = key.indexOf("/", prefixLength); at >= 0; at = key.indexOf("/", at + 1)) {
    if (at > prefixLength && at < key.length - 1) ancestors.push(key.slice(0, at));
  }
  return ancestors;
}

export function pathOf(relative: string, rules: PathRules): SafePath | undefined {
  try {
    return relative === "" || relative.endsWith("/") ? undefined : rules.resolveFile(relative);
  } catch (error) {
    if (error instanceof CopyError) return undefined;
    throw error;
  }
}
