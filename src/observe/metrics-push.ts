import type { Exposition } from "./metrics.ts";
import { type Proxies, placeOf, send } from "./send.ts";

export interface PushOptions {
  /** Root of a Pushgateway; user and password in it become basic authentication. */
  readonly url: string;
  /** Grouping labels; `job` is `oss_populator` unless it is among them. */
  readonly labels: Readonly<Record<string, string>>;
  readonly proxies?: Proxies | undefined;
  /** Certificates that are trusted besides the usual ones, as PEM. */
  readonly ca?: string | undefined;
  readonly everyMs?: number;
  /** Told in one sentence of the first of several failures in a row, and of one at the end. */
  readonly onFailure: (sentence: string) => void;
}

const usualEveryMs = 15_000;
const timeoutMs = 5_000;

/**
 * Replaces a group of metrics at a Pushgateway now, at intervals and at the end, one push at a time. Keeps no process
 * alive, throws nothing.
 */
export class MetricsPush {
  readonly #exposition: Exposition;
  readonly #options: PushOptions;
  readonly #url: string;
  readonly #abort = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #underWay: Promise<void> | undefined;
  #failing = false;

  constructor(exposition: Exposition, options: PushOptions) {
    this.#exposition = exposition;
    this.#options = options;
    this.#url = groupUrl(options);
    this.#timer = setInterval(() => this.#tick(), options.everyMs ?? usualEveryMs).unref();
    this.#tick();
  }

  /** Pushes what is known now, after which nothing is pushed any more; gives up after `patienceMs`. */
  async finish(patienceMs: number): Promise<void> {
    clearInterval(this.#timer);
    const giveUp = setTimeout(() => this.#abort.abort(), patienceMs);
    // An older push that is still under way could arrive after the last one.
    await this.#underWay;
    this.#failing = false;
    await this.#push();
    clearTimeout(giveUp);
  }

  #tick(): void {
    if (this.#underWay !== undefined) return;
    this.#underWay = this.#push().finally(() => {
      this.#underWay = undefined;
    });
  }

  async #push(): Promise<void> {
    const { proxies, ca, onFailure, url } = this.#options;
    const { contentType } = this.#exposition;
    const body = await this.#exposition.metrics();
    const headers = { "content-type": contentType };
    const failure = await send(
      { method: "PUT", url: this.#url, headers, body, timeoutMs, proxies, ca },
      this.#abort.signal,
    );
    if (failure !== undefined && !this.#failing) onFailure(`cannot push the metrics to ${placeOf(url)}: ${failure}`);
    this.#failing = failure !== undefined;
  }
}

function groupUrl({ url, labels }: PushOptions): string {
  const { job = "oss_populator", ...others } = labels;
  const group = [["job", job] as const, ...Object.entries(others)].map(([name, value]) => segment(name, value));
  const result = new URL(url);
  result.pathname = `${result.pathname.replace(/\/+$/, "")}/metrics/${group.join("/")}`;
  return result.href;
}

/** A value that cannot be one path segment goes as base64, which the gateway knows by the suffix of the name. */
function segment(name: string, value: string): string {
  if (value !== "" && !value.includes("/") && !/^\.{1,2}$/.test(value)) return `${name}/${encodeURIComponent(value)}`;
  return `${name}@base64/${Buffer.from(value).toString("base64url") || "="}`;
}
