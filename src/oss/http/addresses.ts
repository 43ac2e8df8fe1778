/** The addresses of one host: looked up once a minute, used in turn, those that failed last. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";

/** Finds all addresses of a name. */
export type LookUp = (host: string) => Promise<readonly { readonly address: string }[]>;

const freshMs = 60_000;
const shunnedMs = 30_000;

export class Addresses {
  readonly #host: string;
  readonly #lookUp: LookUp;
  #known: readonly string[] = [];
  #lookedUpAtMs = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;
  #turn = 0;
  readonly #failedAtMs = new Map<string, number>();

  constructor(host: string, lookUp: LookUp = (name) => lookup(name, { all: true })) {
    this.#host = host;
    this.#lookUp = lookUp;
    if (isIP(host) === 0) return;
    this.#known = [host];
    this.#lookedUpAtMs = Number.POSITIVE_INFINITY;
  }

  /** All addresses in the order to try them, another one first each time. Rejects with the error of the first look-up. */
  async inOrder(): Promise<readonly string[]> {
    if (this.#known.length === 0) await this.#refresh();
    // What is known serves while a newer answer is fetched, and for as long as the name server is out.
    else if (performance.now() - this.#lookedUpAtMs > freshMs) this.#refresh().catch(() => {});
    const start = this.#turn++ % this.#known.length;
    const turned = [...this.#known.slice(start), ...this.#known.slice(0, start)];
    const shunned = turned.filter((address) => this.#isShunned(address));
    return shunned.length === 0 ? turned : [...turned.filter((address) => !shunned.includes(address)), ...shunned];
  }

  /** No connection to `address` could be made: it comes last for a while, and the host is looked up again. */
  failed(address: string): void {
    this.#failedAtMs.set(address, performance.now());
    if (address !== this.#host) this.#lookedUpAtMs = Number.NEGATIVE_INFINITY;
  }

  #refresh(): Promise<void> {
    this.#looking ??= this.#lookUp(this.#host)
      .then((found) => {
        this.#known = found.map(({ address }) => address);
        this.#lookedUpAtMs = performance.now();
      })
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  #isShunned(address: string): boolean {
    const failedAtMs = this.#failedAtMs.get(address);
    if (failedAtMs === undefined) return false;
    if (performance.now() - failedAtMs < shunnedMs) return true;
    this.#failedAtMs.delete(address);
    return false;
  }
}
