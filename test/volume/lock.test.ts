import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { symlink, truncate, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { lockTarget } from "../../src/volume/lock.ts";
import { canMount, failure, run, temporaryDirectory } from "./support.ts";

const signal = new AbortController().signal;
const script = fileURLToPath(new URL("lock-child.ts", import.meta.url));
const longMs = 30_000;

/** A process that works on a target, until it is killed. */
interface OtherProcess extends AsyncDisposable {
  readonly said: Readonly<Record<string, unknown>>;
  kill(): void;
}

async function otherProcess(command: readonly [string, ...string[]]): Promise<OtherProcess> {
  const [program, ...args] = command;
  const child: ChildProcess = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const { stdout } = child;
  if (stdout === null) throw new Error("no pipe");
  for await (const line of createInterface(stdout)) {
    return {
      said: JSON.parse(line),
      kill: () => child.kill("SIGKILL"),
      [Symbol.asyncDispose]: async () => {
        child.kill("SIGKILL");
        await ended;
      },
    };
  }
  throw new Error("the other process said nothing");
}

function holder(root: string, ...args: string[]): Promise<OtherProcess> {
  return otherProcess([process.execPath, script, root, ...args]);
}

function patient(onWait: (sentence: string) => void = () => {}) {
  return { waitMs: longMs, onWait };
}

const impatient = { waitMs: 0, onWait: () => {} };

describe("the lock of a target", () => {
  it("keeps another process out, which says once that it waits and gives up with the name of the target", async () => {
    await using place = await temporaryDirectory();
    await using other = await holder(place.path);
    expect(other.said).toMatchObject({ held: true, waits: [] });
    const waits: string[] = [];
    const error = await failure("busy", () =>
      lockTarget(place.path, { waitMs: 1200, onWait: (sentence) => waits.push(sentence) }, signal),
    );
    expect(error.message).toBe(`another process is still working on ${place.path} after 1.2 s`);
    expect(waits).toEqual([`another process is working on ${place.path}; waiting up to 1.2 s for its end`]);
  });

  it("passes on when its holder is killed", { timeout: longMs }, async () => {
    await using place = await temporaryDirectory();
    await using other = await holder(place.path);
    let waits = 0;
    await using lock = await lockTarget(
      place.path,
      patient(() => {
        waits++;
        other.kill();
      }),
      signal,
    );
    expect(lock).toMatchObject({ held: true, warning: undefined });
    expect(waits).toBe(1);
    await using third = await holder(place.path);
    expect(third.said).toMatchObject({ kind: "busy" });
  });

  it("does not live on in helpers that outlive the killed process", { timeout: longMs }, async () => {
    await using place = await temporaryDirectory();
    await using other = await holder(place.path, "0", "helper");
    const helperPid = Number(other.said.helperPid);
    try {
      await using lock = await lockTarget(place.path, patient(other.kill), signal);
      expect(lock.held).toBe(true);
      // Throws if the helper is gone, which would prove nothing.
      process.kill(helperPid, 0);
    } finally {
      process.kill(helperPid, "SIGKILL");
    }
  });

  it("can be shared, and then keeps off only who wants it alone", async () => {
    await using place = await temporaryDirectory();
    const shared = { ...impatient, mode: "shared" } as const;
    await using first = await lockTarget(place.path, shared, signal);
    const second = await lockTarget(place.path, shared, signal);
    expect([first.held, second.held]).toEqual([true, true]);
    await failure("busy", () => lockTarget(place.path, impatient, signal));
    await first[Symbol.asyncDispose]();
    await failure("busy", () => lockTarget(place.path, impatient, signal));
    await second[Symbol.asyncDispose]();
    await using _alone = await lockTarget(place.path, impatient, signal);
    await failure("busy", () => lockTarget(place.path, shared, signal));
  });

  it("ends when it is disposed of, and twice is once", async () => {
    await using place = await temporaryDirectory();
    const first = await lockTarget(place.path, impatient, signal);
    await failure("busy", () => lockTarget(place.path, impatient, signal));
    await first[Symbol.asyncDispose]();
    await using second = await lockTarget(place.path, impatient, signal);
    expect(second.held).toBe(true);
    await first[Symbol.asyncDispose]();
    await failure("busy", () => lockTarget(place.path, impatient, signal));
  });

  it("is no longer waited for after a signal, whose reason comes back", async () => {
    await using place = await temporaryDirectory();
    await using _held = await lockTarget(place.path, impatient, signal);
    const stop = new AbortController();
    const reason = new Error("stopped");
    const waiting = lockTarget(
      place.path,
      patient(() => setTimeout(() => stop.abort(reason), 50)),
      stop.signal,
    );
    await expect(waiting).rejects.toBe(reason);
    await expect(lockTarget(place.path, impatient, stop.signal)).rejects.toBe(reason);
  });

  it("is for directories and block devices, and follows no symlink", async () => {
    await using place = await temporaryDirectory();
    await writeFile(`${place.path}/file`, "");
    await symlink(place.path, `${place.path}/link`);
    await run("mkfifo", [`${place.path}/fifo`]);
    for (const name of ["file", "link", "fifo", "missing"]) {
      await failure("volume", () => lockTarget(`${place.path}/${name}`, impatient, signal));
    }
  });

  it.skipIf(!canMount)("holds on a block device too", async () => {
    await using place = await temporaryDirectory();
    await writeFile(`${place.path}/image`, "");
    await truncate(`${place.path}/image`, 2 ** 20);
    const device = (await run("losetup", ["--find", "--show", `${place.path}/image`])).stdout.trim();
    try {
      await using lock = await lockTarget(device, patient(), signal);
      expect(lock.held).toBe(true);
      await failure("busy", () => lockTarget(device, impatient, signal));
    } finally {
      await run("losetup", ["--detach", device]);
    }
  });
});

describe.skipIf(!canMount)("a target that cannot be locked is only a warning", () => {
  /** Runs a holder where `flock` is something else. */
  async function where(flock: string, root: string): Promise<OtherProcess> {
    const commands = `mount --bind "$0" "$(command -v flock)" && exec "$@"`;
    return otherProcess(["unshare", "--mount", "sh", "-c", commands, flock, process.execPath, script, root]);
  }

  it("where the filesystem refuses it", async () => {
    await using place = await temporaryDirectory();
    const refusing = `${place.path}/flock`;
    await writeFile(refusing, "#!/bin/sh\necho 'flock: 3: No locks available' >&2\nexit 1\n", { mode: 0o755 });
    await using other = await where(refusing, place.path);
    expect(other.said).toEqual({
      held: false,
      warning: `${place.path} cannot be locked (flock: 3: No locks available): make sure that no other process fills it`,
      waits: [],
    });
  });

  it("where the program is missing", async () => {
    await using place = await temporaryDirectory();
    await using other = await where("/dev/null", place.path);
    expect(other.said).toMatchObject({
      held: false,
      warning: expect.stringContaining("cannot be locked (spawn flock"),
    });
  });
});
