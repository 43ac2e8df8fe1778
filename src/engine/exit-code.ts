import type { ErrorKind } from "../errors.ts";

export const exitCodes = {
  complete: 0,
  defect: 1,
  configuration: 2,
  source: 3,
  objects: 4,
  target: 5,
  integrity: 6,
  passing: 7,
  interrupted: 130,
  terminated: 143,
} as const;

const codeOfKind = {
  unreachable: exitCodes.passing,
  interrupted: exitCodes.passing,
  protocol: exitCodes.passing,
  server: exitCodes.passing,
  throttled: exitCodes.passing,
  outage: exitCodes.passing,
  busy: exitCodes.passing,
  identity: exitCodes.passing,
  expired: exitCodes.source,
  auth: exitCodes.source,
  credentials: exitCodes.source,
  source: exitCodes.source,
  missing: exitCodes.objects,
  rejected: exitCodes.objects,
  unsupported: exitCodes.objects,
  changed: exitCodes.integrity,
  corrupt: exitCodes.integrity,
  different: exitCodes.integrity,
  occupied: exitCodes.target,
  "volume-full": exitCodes.target,
  volume: exitCodes.target,
} as const satisfies Record<ErrorKind, number>;

/** Which code wins when several kinds of failure came together. */
const precedence = [
  exitCodes.target,
  exitCodes.integrity,
  exitCodes.source,
  exitCodes.objects,
  exitCodes.passing,
] as const;

/** Exit code of a run that met failures of these kinds; 0 when there are none. */
export function exitCodeOf(kinds: Iterable<ErrorKind>): number {
  const codes = new Set<number>();
  for (const kind of kinds) codes.add(codeOfKind[kind]);
  return precedence.find((code) => codes.has(code)) ?? exitCodes.complete;
}
