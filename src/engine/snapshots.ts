import type { OpenEntry } from "./checkpoint.ts";
import type { OpenObject } from "./open-list-object.ts";
import { Waiters } from "./waiters.ts";

/** Which snapshots of a list were taken and saved, so that no file is begun anew while a saved one vouches for its bytes. */
export class Snapshots {
  #taken = 0;
  #saved = 0;
  #waiting = 0;
  readonly #waiters = new Waiters();

  /** A snapshot is being taken. */
  begin(): void {
    this.#taken++;
  }

  /** What it says of an object. */
  record(object: OpenObject): OpenEntry {
    const { entry, position, extents } = object;
    if (extents.length > 0) object.recordedIn = this.#taken;
    return { entry, position, extents: [...extents] };
  }

  /** The last one taken is on stable storage and has replaced the one before. */
  saved(): void {
    this.#saved = this.#taken;
    this.wake();
  }

  /** Whether somebody waits for the next one to be saved. */
  get urgent(): boolean {
    return this.#waiting > 0;
  }

  /**
   * Resolves when the saved snapshot has no extents of the object, which is to have none now. Rejects with the signal's
   * reason, and with what `check` throws, which is asked again after each `wake`.
   */
  async without(object: OpenObject, signal: AbortSignal, check: () => void = () => {}): Promise<void> {
    this.#waiting++;
    try {
      while (object.recordedIn !== undefined && object.recordedIn >= this.#saved) {
        signal.throwIfAborted();
        check();
        await this.#waiters.change(signal);
      }
      object.recordedIn = undefined;
    } finally {
      this.#waiting--;
    }
  }

  wake(): void {
    this.#waiters.wake();
  }
}
