const variablePrefix = "OSS_POPULATOR_";

// What a kubelet injects for a Service whose name begins with `oss-populator`.
const serviceLink =
  /^(?:.+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/;

/** The environment variable of an option. */
export function variableOf(option: string): string {
  return variablePrefix + option.toUpperCase().replaceAll("-", "_");
}

/** The option that a variable would name, or undefined when it is none of ours: another prefix, or a service link. */
export function optionOf(variable: string): string | undefined {
  if (!variable.startsWith(variablePrefix)) return undefined;
  const rest = variable.slice(variablePrefix.length);
  return serviceLink.test(rest) ? undefined : rest.toLowerCase().replaceAll("_", "-");
}

/** The candidate that differs least, if it differs in at most a third of its letters. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = name.toLowerCase();
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const limit = Math.max(1, Math.floor(Math.max(wanted.length, candidate.length) / 3));
    if (Math.abs(wanted.length - candidate.length) > limit) continue;
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance <= limit && distance < (best?.distance ?? Number.POSITIVE_INFINITY)) best = { candidate, distance };
  }
  return best?.candidate;
}

/** The ending of a sentence that names the nearest candidate; empty without one. */
export function suggestion(name: string, candidates: Iterable<string>, prefix = ""): string {
  const candidate = nearest(name, candidates);
  return candidate === undefined ? "" : `; did you mean ${prefix}${candidate}?`;
}

/** Insertions, deletions, substitutions and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  const width = b.length + 1;
  const table = Array.from({ length: (a.length + 1) * width }, (_, cell) => {
    const row = Math.floor(cell / width);
    return row === 0 ? cell : cell % width === 0 ? row : 0;
  });
  const at = (row: number, column: number) => table[row * width + column] ?? 0;
  for (let row = 1; row <= a.length; row++) {
    for (let column = 1; column <= b.length; column++) {
      const substitution = at(row - 1, column - 1) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      const swap = swapped ? at(row - 2, column - 2) + 1 : substitution;
      table[row * width + column] = Math.min(at(row - 1, column) + 1, at(row, column - 1) + 1, substitution, swap);
    }
  }
  return at(a.length, b.length);
}
