/** What the tests and the process of a lossy disk say to each other; every command has one answer. */
export type DiskCommand =
  /** Leaves an image of the disk as a loss of power would at this moment. */
  | { readonly kind: "image"; readonly path: string; readonly seed: number }
  /** From now on every write and every flush fails. */
  | { readonly kind: "fail" };

export interface DiskAnswer {
  /** Writes since the last flush. */
  readonly unflushed: number;
  /** Sectors of them that the image lacks. */
  readonly lost: number;
  /** Flushes so far. */
  readonly flushes: number;
}
