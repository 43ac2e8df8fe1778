/** Who we are and what time it is for the service, kept current for as long as a run lasts. */
import { CopyError } from "../errors.ts";
import {
  type CredentialSource,
  type CredentialsChoice,
  credentialSource,
  type Environment,
  type Issued,
} from "./credentials.ts";
import type { StsOptions } from "./credentials-role.ts";
import { abortable } from "./http/aborts.ts";
import type { Credentials, SigningState } from "./signing.ts";

export interface SessionOptions {
  readonly sts?: StsOptions | undefined;
  /** Told, in one sentence without secrets, when credentials could not be renewed ahead of time. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/** The source is asked at most this often, unless the service has refused what it gave. */
const minAskMs = 60_000;
const maxAskMs = 30 * 60_000;
/** Requests that were under way when the refusal came still bring theirs after the renewal. */
const settledMs = 5_000;
/** Smaller differences of the clocks are no reason for a refusal: the service allows 15 minutes. */
const clockToleranceMs = 60_000;

export class Session implements AsyncDisposable {
  /** Always current: the same object for the session's life, read by each request that is signed. */
  readonly signing: SigningState = { credentials: undefined, clockOffsetMs: 0 };
  readonly #source: CredentialSource;
  readonly #onWarning: (message: string) => void;
  readonly #listeners = new Set<(signing: Readonly<SigningState>) => void>();
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #asking: Promise<void> | undefined;
  #renewable = true;
  #settledAtMs = Number.NEGATIVE_INFINITY;

  /** Resolves when there are credentials; rejects with CopyError `credentials`, or the signal's reason. */
  static async start(
    choice: CredentialsChoice,
    env: Environment,
    options: SessionOptions,
    signal: AbortSignal,
  ): Promise<Session> {
    const session = new Session(credentialSource(choice, env, options.sts), options);
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
    this.#onWarning = options.onWarning ?? (() => {});
  }

  /** Asks for the first credentials; as `start`. */
  async open(signal: AbortSignal): Promise<void> {
    try {
      await abortable(this.#ask(), signal);
    } catch (error) {
      // A role that cannot be assumed and a source that does not answer refuse us, whatever the reason.
      const passes = error instanceof CopyError && error.kind !== "credentials";
      throw passes ? new CopyError("credentials", error.message, { cause: error }) : error;
    }
  }

  /**
   * After the service has refused our token or clock: takes its time if ours is off by more than a minute, otherwise new
   * credentials. Concurrent calls, and those a few seconds after a success, share its result. Rejects with CopyError.
   */
  async refresh(error: { readonly serverTimeMs: number | undefined }, signal?: AbortSignal): Promise<void> {
    if (performance.now() - this.#settledAtMs < settledMs) return;
    if (this.#correctClock(error.serverTimeMs)) return;
    if (!this.#renewable) {
      throw new CopyError(
        "credentials",
        `the service refuses the credentials of ${this.#source.name}, and there are no newer ones`,
      );
    }
    await abortable(this.#ask(), signal);
    this.#settledAtMs = performance.now();
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
    await this.#asking?.catch(() => {});
  }

  #correctClock(serverTimeMs: number | undefined): boolean {
    if (serverTimeMs === undefined) return false;
    const offsetMs = serverTimeMs - Date.now();
    if (Math.abs(offsetMs - this.signing.clockOffsetMs) <= clockToleranceMs) return false;
    this.signing.clockOffsetMs = offsetMs;
    this.#settledAtMs = performance.now();
    this.#tell();
    return true;
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
    const changed = !sameCredentials(this.signing.credentials, credentials);
    this.signing.credentials = credentials;
    this.#renewable = freshForMs !== undefined;
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
    this.#onWarning(
      `credentials could not be renewed, the old ones stay in use: ${error instanceof Error ? error.message : "unknown"}`,
    );
    this.#schedule(minAskMs);
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
