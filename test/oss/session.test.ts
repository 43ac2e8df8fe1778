import { writeFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CopyError } from "../../src/errors.ts";
import type { CredentialSource, Issued } from "../../src/oss/credentials.ts";
import { type RenewalPolicy, Session, type SessionOptions } from "../../src/oss/session.ts";
import { testCertificate } from "../contract/transport-certificate.ts";
import { session as issued, startSts, temporaryDirectory } from "./credentials-servers.ts";

const never = new AbortController().signal;
/** A refusal of credentials that were sent just now, and of those that were sent a while ago. */
const refused = { serverTimeMs: undefined, sentMsAgo: 0 };
const refusedLate = { serverTimeMs: undefined, sentMsAgo: 60_000 };
/** Attempts without a pause, three at most. */
const impatient: RenewalPolicy = { waitMs: ({ failures }) => (failures < 3 ? 1 : undefined) };

/** A source that counts its calls and answers what the test says. */
class ScriptedSource implements CredentialSource {
  readonly name = "a script";
  calls = 0;
  freshForMs: number | undefined = 120_000;
  answer: (call: number) => Promise<void> = () => Promise.resolve();

  async issue(): Promise<Issued> {
    const call = ++this.calls;
    await this.answer(call);
    return {
      credentials: { accessKeyId: `id-${call}`, accessKeySecret: `secret-${call}` },
      freshForMs: this.freshForMs,
    };
  }
}

async function opened(source: ScriptedSource, options: SessionOptions = {}): Promise<Session> {
  const session = new Session(source, options);
  await session.open(never);
  return session;
}

/** What is to be assumed with a token that lies in `directory`, from a service on this machine. */
async function roleAt(port: number, directory: { path(name: string): string }) {
  const oidcTokenFile = directory.path("token");
  await writeFile(oidcTokenFile, "t");
  const stsEndpoint = `127.0.0.1:${port}`;
  return { roleArn: "acs:ram::1:role/r", oidcProviderArn: "p", oidcTokenFile, stsEndpoint, from: "options" } as const;
}

describe("a session over a security token service", () => {
  test("asks once for twenty concurrent refusals", async () => {
    await using directory = await temporaryDirectory();
    await using server = await startSts((call) => issued(String(call)));
    const role = await roleAt(server.port, directory);
    await using session = await Session.start({ anonymous: false, role }, {}, { sts: { ca: testCertificate } }, never);
    expect(session.signing.credentials?.accessKeyId).toBe("id-1");
    await Promise.all(Array.from({ length: 20 }, () => session.refresh(refused)));
    expect(session.signing.credentials?.accessKeyId).toBe("id-2");
    expect(server.forms.length).toBe(2);
  });

  test("does not start while the service cannot be reached, and says that this may pass", async () => {
    await using directory = await temporaryDirectory();
    const role = await roleAt(1, directory);
    const starting = Session.start({ anonymous: false, role }, {}, { renewal: impatient }, never);
    await expect(starting).rejects.toMatchObject({
      kind: "identity",
      message: "cannot assume role acs:ram::1:role/r: no answer from STS at 127.0.0.1:1: connection refused",
    });
  });

  test("stops waiting when the run does", async () => {
    await using directory = await temporaryDirectory();
    const role = await roleAt(1, directory);
    const controller = new AbortController();
    const starting = Session.start(
      { anonymous: false, role },
      {},
      { renewal: { waitMs: () => 60_000 } },
      controller.signal,
    );
    await setTimeout(50);
    controller.abort(new Error("stopped"));
    await expect(starting).rejects.toThrow("stopped");
  });
});

describe("a refusal", () => {
  test("renews the credentials in place and tells the listeners", async () => {
    const source = new ScriptedSource();
    await using session = await opened(source);
    const signing = session.signing;
    const told: (string | undefined)[] = [];
    const unsubscribe = session.onChange((state) => told.push(state.credentials?.accessKeyId));
    await session.refresh(refused);
    expect(signing.credentials?.accessKeyId).toBe("id-2");
    expect(told).toEqual(["id-2"]);
    unsubscribe();
  });

  test("of a request that was sent before a renewal is settled by it, of a later one not", async () => {
    const source = new ScriptedSource();
    await using session = await opened(source);
    await session.refresh(refused);
    await session.refresh(refusedLate);
    expect(source.calls).toBe(2);
    await session.refresh(refused);
    expect(source.calls).toBe(3);
  });

  test("of our clock sets the offset once, however many requests report it, and asks for no credentials", async () => {
    const source = new ScriptedSource();
    await using session = await opened(source);
    let told = 0;
    session.onChange(() => told++);
    const serverTimeMs = Date.now() + 3_600_000;
    await Promise.all(Array.from({ length: 5 }, () => session.refresh({ serverTimeMs, sentMsAgo: 1 })));
    expect(Math.abs(session.signing.clockOffsetMs - 3_600_000)).toBeLessThan(5_000);
    expect(told).toBe(1);
    expect(source.calls).toBe(1);
  });

  test("with a clock that is right renews the credentials", async () => {
    const source = new ScriptedSource();
    await using session = await opened(source);
    await session.refresh({ serverTimeMs: Date.now() + 30_000, sentMsAgo: 0 });
    expect(session.signing.clockOffsetMs).toBe(0);
    expect(source.calls).toBe(2);
  });

  test("of the credentials just after one of our clock renews them too", async () => {
    const source = new ScriptedSource();
    await using session = await opened(source);
    await session.refresh({ serverTimeMs: Date.now() - 3_600_000, sentMsAgo: 0 });
    await session.refresh(refused);
    expect(source.calls).toBe(2);
  });

  test("waits for a source that does not answer, asks it once at a time, and says so", async () => {
    const warnings: string[] = [];
    const source = new ScriptedSource();
    await using session = await opened(source, { renewal: impatient, onWarning: (message) => warnings.push(message) });
    source.answer = (call) => (call < 4 ? Promise.reject(new CopyError("identity", "down")) : Promise.resolve());
    await Promise.all(Array.from({ length: 20 }, () => session.refresh(refused)));
    expect(session.signing.credentials?.accessKeyId).toBe("id-4");
    expect(source.calls).toBe(4);
    expect(warnings).toEqual(Array(2).fill("no new credentials yet, asking again: down"));
  });

  test("gives a source up when the policy says so, and tells the policy what it must know", async () => {
    const source = new ScriptedSource();
    const states: unknown[] = [];
    const waitMs: RenewalPolicy["waitMs"] = (state) => {
      states.push(state);
      return impatient.waitMs(state);
    };
    source.answer = () => Promise.reject(new CopyError("identity", "down"));
    await expect(opened(source, { renewal: { waitMs } })).rejects.toMatchObject({ kind: "identity", message: "down" });
    expect(states).toMatchObject([
      { failures: 1, answered: false },
      { failures: 2, answered: false },
      { failures: 3, answered: false },
    ]);
    source.answer = () => Promise.resolve();
    await using session = await opened(source, { renewal: { waitMs } });
    source.answer = () => Promise.reject(new CopyError("identity", "down"));
    await expect(session.refresh(refused)).rejects.toMatchObject({ kind: "identity" });
    expect(states.at(-1)).toMatchObject({ failures: 3, answered: true });
  });

  test("is not repeated where the source has refused us", async () => {
    const source = new ScriptedSource();
    await using session = await opened(source, { renewal: impatient });
    source.answer = () => Promise.reject(new CopyError("credentials", "no such role"));
    await expect(session.refresh(refused)).rejects.toThrow("no such role");
    expect(source.calls).toBe(2);
  });

  test("ends when the session does", async () => {
    const source = new ScriptedSource();
    const session = await opened(source, { renewal: { waitMs: () => 60_000 } });
    source.answer = () => Promise.reject(new CopyError("identity", "down"));
    const refreshing = session.refresh(refused);
    const ended = expect(refreshing).rejects.toThrow("the session has ended");
    await setTimeout(10);
    await session[Symbol.asyncDispose]();
    await ended;
  });

  test("tells what must not be shown before it is used", async () => {
    const secrets: string[] = [];
    const source = new ScriptedSource();
    await using session = await opened(source, { onSecret: (secret) => secrets.push(secret) });
    session.onChange(() => expect(secrets).toContain("secret-2"));
    await session.refresh(refused);
    expect(secrets).toEqual(["secret-1", "secret-2"]);
  });

  test("whose renewal fails is reported to everyone, and the next one tries again", async () => {
    const source = new ScriptedSource();
    await using session = await opened(source);
    source.answer = (call) => (call === 2 ? Promise.reject(new CopyError("identity", "down")) : Promise.resolve());
    const results = await Promise.allSettled([session.refresh(refused), session.refresh(refused)]);
    expect(results.map((result) => result.status)).toEqual(["rejected", "rejected"]);
    expect(source.calls).toBe(2);
    await session.refresh(refused);
    expect(session.signing.credentials?.accessKeyId).toBe("id-3");
  });

  test("of credentials that never change is final", async () => {
    const source = new ScriptedSource();
    source.freshForMs = undefined;
    await using session = await opened(source);
    await expect(session.refresh(refused)).rejects.toMatchObject({ kind: "credentials" });
    expect(source.calls).toBe(1);
  });

  test("ends for a caller that gives up, while the others get their answer", async () => {
    const source = new ScriptedSource();
    await using session = await opened(source);
    const gate = Promise.withResolvers<void>();
    source.answer = () => gate.promise;
    const controller = new AbortController();
    const hasty = session.refresh(refused, controller.signal);
    const patient = session.refresh(refused);
    controller.abort(new Error("enough"));
    await expect(hasty).rejects.toThrow("enough");
    gate.resolve();
    await patient;
    expect(source.calls).toBe(2);
  });
});

describe("in the background, a session", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("renews before the credentials end, but asks at most once a second", async () => {
    const source = new ScriptedSource();
    await using session = await opened(source);
    await vi.advanceTimersByTimeAsync(119_000);
    expect(source.calls).toBe(1);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(session.signing.credentials?.accessKeyId).toBe("id-2");
    source.freshForMs = 0;
    await vi.advanceTimersByTimeAsync(119_500);
    expect(source.calls).toBe(3);
    await vi.advanceTimersByTimeAsync(400);
    expect(source.calls).toBe(3);
    await vi.advanceTimersByTimeAsync(200);
    expect(source.calls).toBe(4);
  });

  test("warns when it cannot renew, keeps what it has and tries again", async () => {
    const warnings: string[] = [];
    const source = new ScriptedSource();
    await using session = await opened(source, { onWarning: (message) => warnings.push(message) });
    source.answer = (call) => (call === 2 ? Promise.reject(new CopyError("identity", "down")) : Promise.resolve());
    await vi.advanceTimersByTimeAsync(121_000);
    expect(warnings).toEqual([expect.stringContaining("down")]);
    expect(session.signing.credentials?.accessKeyId).toBe("id-1");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(session.signing.credentials?.accessKeyId).toBe("id-3");
  });

  test("stops asking when it is disposed of", async () => {
    const source = new ScriptedSource();
    const session = await opened(source);
    await session[Symbol.asyncDispose]();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(source.calls).toBe(1);
  });
});
