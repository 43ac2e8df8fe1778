/** Enough objects failed for the run to be pointless; they are in the ledger. */
export class TooManyFailures extends Error {
  override readonly name = "TooManyFailures";
}
