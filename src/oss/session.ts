/** Who we are and what time it is for the service, kept current for as long as a run lasts. */
import { setTimeout as sleep } from "node:timers/promises";
import { CopyError } from "../errors.ts";
import type { Refusal } from "../types.ts";
import {
  type CredentialSource,
  type CredentialsChoice,
  credentialSource,
  type Environment,
  expectSendable,
  type Issued,
} from "./credentials.ts";
import type { StsOptions } from "./credentials-role.ts";
import { abortable } from "./http/aborts.ts";
import type { Credentials, SigningState } from "./signing.ts";

export interface SessionOptions {
  readonly sts?: Omit<StsOptions, "onSecret"> | undefined;
  /** Told, in one sentence without secrets, when credentials could not be renewed. */
  readonly onWarning?: ((message: string) => void) | undefined;
  /** Told of each secret that comes up, before it is used, so that it can be kept out of logs. */
  readonly onSecret?: ((secret: string) => void) | undefined;
  /** Without it nothing is asked twice. */
  readonly renewal?: RenewalPolicy | undefined;
}

/** How long a source that does not answer is asked again while there is nothing to go on with. */
export interface RenewalPolicy {
  /** Milliseconds before the next attempt; undefined gives up. */
  waitMs(state: RenewalState): number | undefined;
}

export interface RenewalState {
  /** Attempts that have failed in a row, at least one. */
  readonly failures: number;
  readonly sinceMs: number;
  /** Whether the source has ever given credentials. */
  readonly answered: boolean;
}

/** Ahead of time the source is asked at most and at least this often. */
const minAskMs = 1_000;
const maxAskMs = 30 * 60_000;
/** When it is asked again after it could not be asked ahead of time. */
const afterFailureMs = 60_000;
/** Smaller differences of the clocks are no reason for a refusal: the service allows 15 minutes. */
const clockToleranceMs = 60_000;

export class Session implements AsyncDisposable {
  /** Always current: the same object for the session's life, read by each request that is signed. */
  readonly signing: SigningState = { credentials: undefined, clockOffsetMs: 0 };
  readonly #source: CredentialSource;
  readonly #options: SessionOptions;
  readonly #listeners = new Set<(signing: Readonly<SigningState>) => void>();
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #asking: Promise<void> | undefined;
  #renewing: Promise<void> | undefined;
  #renewable = true;
  #answered = false;
  /** Monotonic times of the last changes; what was sent before them proves nothing about the new values. */
  #renewedAtMs = Number.NEGATIVE_INFINITY;
  #clockSetAtMs = Number.NEGATIVE_INFINITY;

  /** Resolves when there are credentials; rejects with CopyError `credentials` or `identity`, or the signal's reason. */
  static async start(
    choice: CredentialsChoice,
    env: Environment,
    options: SessionOptions,
    signal: AbortSignal,
  ): Promise<Session> {
    const source = credentialSource(choice, env, { ...options.sts, onSecret: options.onSecret });
    const session = new Session(source, options);
    try {
      await session.open(signal);
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
    return session;
  }

  constructor(source: CredentialSource, options: SessionOptions = {}) {
    this.#source = source;
    this.#options = options;
  }

  /** Asks for the first credentials; as `start`. */
  async open(signal: AbortSignal): Promise<void> {
    await abortable(this.#renew(), signal);
  }

  /**
   * After the service has refused our clock or token: takes its time if ours is off by more than a minute, otherwise new
   * credentials, unless either has changed since the refused request was sent. Concurrent calls share the result.
   * Rejects with CopyError `credentials` or `identity`, or the signal's reason.
   */
  async refresh({ serverTimeMs, sentMsAgo }: Refusal, signal?: AbortSignal): Promise<void> {
    const sentAtMs = performance.now() - sentMsAgo;
    if (serverTimeMs !== undefined && (sentAtMs < this.#clockSetAtMs || this.#correctClock(serverTimeMs))) return;
    if (sentAtMs < this.#renewedAtMs) return;
    if (!this.#renewable) {
      throw new CopyError(
        "credentials",
        `the service refuses the credentials of ${this.#source.name}, and there are no newer ones`,
      );
    }
    await abortable(this.#renew(), signal);
  }

  /** Calls back after each change of `signing`, until the returned function is called. */
  onChange(listener: (signing: Readonly<SigningState>) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#listeners.clear();
    this.#stop.abort(new CopyError("credentials", "the session has ended"));
    await this.#renewing?.catch(() => {});
    await this.#asking?.catch(() => {});
  }

  #correctClock(serverTimeMs: number): boolean {
    const offsetMs = serverTimeMs - Date.now();
    if (Math.abs(offsetMs - this.signing.clockOffsetMs) <= clockToleranceMs) return false;
    this.signing.clockOffsetMs = offsetMs;
    this.#clockSetAtMs = performance.now();
    this.#tell();
    return true;
  }

  /** New credentials that cannot be done without: asked for again and again, as long as the policy lets us. */
  #renew(): Promise<void> {
    this.#renewing ??= this.#persist().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #persist(): Promise<void> {
    const startedMs = performance.now();
    for (let failures = 1; ; failures++) {
      try {
        await this.#ask();
        return;
      } catch (error) {
        const passes = error instanceof CopyError && error.kind === "identity" && !this.#stop.signal.aborted;
        const state = { failures, sinceMs: performance.now() - startedMs, answered: this.#answered };
        const waitMs = passes ? this.#options.renewal?.waitMs(state) : undefined;
        if (waitMs === undefined) throw error;
        this.#warn("no new credentials yet, asking again", error);
        await sleep(waitMs, undefined, { signal: this.#stop.signal }).catch(() => this.#stop.signal.throwIfAborted());
      }
    }
  }

  /** One question at a time: whoever comes while it is open gets its answer. */
  #ask(): Promise<void> {
    this.#asking ??= this.#source
      .issue(this.#stop.signal)
      .then((issued) => this.#take(issued))
      .finally(() => {
        this.#asking = undefined;
      });
    return this.#asking;
  }

  #take({ credentials, freshForMs }: Issued): void {
    expectSendable(credentials, this.#source.name);
    for (const secret of [credentials?.accessKeySecret, credentials?.securityToken]) {
      if (secret !== undefined) this.#options.onSecret?.(secret);
    }
    const changed = !sameCredentials(this.signing.credentials, credentials);
    this.signing.credentials = credentials;
    this.#renewable = freshForMs !== undefined;
    this.#answered = true;
    this.#renewedAtMs = performance.now();
    this.#schedule(freshForMs);
    if (changed) this.#tell();
  }

  #schedule(freshForMs: number | undefined): void {
    clearTimeout(this.#timer);
    if (freshForMs === undefined || this.#stop.signal.aborted) return;
    const delayMs = Math.min(Math.max(freshForMs, minAskMs), maxAskMs);
    this.#timer = setTimeout(() => {
      this.#ask().catch((error: unknown) => this.#renewalFailed(error));
    }, delayMs).unref();
  }

  #renewalFailed(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#warn("credentials could not be renewed, the old ones stay in use", error);
    this.#schedule(afterFailureMs);
  }

  #warn(what: string, error: unknown): void {
    this.#options.onWarning?.(`${what}: ${error instanceof Error ? error.message : "unknown"}`);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this.signing);
  }
}

function sameCredentials(a: Credentials | undefined, b: Credentials | undefined): boolean {
  return (
    a?.accessKeyId === b?.accessKeyId &&
    a?.accessKeySecret === b?.accessKeySecret &&
    a?.securityToken === b?.securityToken
  );
}
