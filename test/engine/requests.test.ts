import { expect, test } from "vitest";
import { Admission } from "../../src/engine/admission.ts";
import { Limiter } from "../../src/engine/limiter.ts";
import { type RequestKind, Requests } from "../../src/engine/requests.ts";
import { isObjectsOwn } from "../../src/engine/retry.ts";
import { CopyError, type CopyErrorDetails, type ErrorKind } from "../../src/errors.ts";
import type { ObjectSource, Refusal } from "../../src/types.ts";
import { onePool } from "../support/buffer-pools.ts";
import { drive, FakeClock, turn } from "../support/fake-clock.ts";
import { RecordingMetrics, silentLogger } from "../support/observers.ts";

const get: RequestKind = { operation: "get", what: "a", bodyBytes: 1000, bufferBytes: 1 };
const never = new AbortController().signal;

function setUp({ retries = 8, retryForMs = 600_000, bytesPerSecond = 0, most = 4 } = {}) {
  const clock = new FakeClock();
  const metrics = new RecordingMetrics();
  const admission = new Admission(most, onePool(most));
  const limiter = bytesPerSecond > 0 ? new Limiter(bytesPerSecond, clock) : undefined;
  let refreshes = 0;
  const refusals: Refusal[] = [];
  const unused = (): never => {
    throw new Error("not asked for here");
  };
  const source: ObjectSource = {
    listPage: unused,
    head: unused,
    probe: unused,
    refresh: async (refusal) => {
      refusals.push(refusal);
      refreshes++;
    },
  };
  const limits = { retries, retryForMs };
  const requests = new Requests({ source, admission, limiter, limits, clock, metrics, logger: silentLogger });
  return { clock, metrics, admission, limiter, requests, refreshes: () => refreshes, refusals };
}

/** Fails with each kind in turn, then succeeds; each attempt takes `eachMs`. */
function failing(clock: FakeClock, kinds: readonly ErrorKind[], eachMs = 10, details: CopyErrorDetails = {}) {
  let attempts = 0;
  const attempt = async (): Promise<number> => {
    await clock.sleep(eachMs, never);
    const kind = kinds[attempts++];
    if (kind) throw new CopyError(kind, `${kind} ${attempts}`, details);
    return attempts;
  };
  return attempt;
}

test("a request is repeated until it succeeds, and each failure is counted once", async () => {
  const { clock, requests, metrics, admission } = setUp();
  const attempt = failing(clock, ["server", "throttled", "interrupted"]);
  expect(await drive(clock, requests.run({}, get, attempt, never))).toBe(4);
  expect(metrics.requests).toEqual(["get server", "get throttled", "get interrupted", "get ok"]);
  expect(metrics.retries).toEqual(["server", "throttled", "interrupted"]);
  expect(admission.open).toBe(0);
});

test("the last failure comes out when all retries are used up", async () => {
  const { clock, requests } = setUp({ retries: 2 });
  const attempt = failing(clock, ["server", "server", "server"]);
  await expect(drive(clock, requests.run({}, get, attempt, never))).rejects.toThrow("server 3");
});

test.each(["missing", "rejected", "auth", "volume", "changed", "corrupt"] as const)(
  "%s is not repeated",
  async (kind) => {
    const { clock, requests, metrics } = setUp();
    const attempt = failing(clock, [kind]);
    await expect(drive(clock, requests.run({}, get, attempt, never))).rejects.toThrow(`${kind} 1`);
    expect(metrics.retries).toEqual([]);
  },
);

test("a bug is not repeated", async () => {
  const { clock, requests } = setUp();
  let attempts = 0;
  const bug = async (): Promise<void> => {
    attempts++;
    throw new TypeError("bug");
  };
  await expect(drive(clock, requests.run({}, get, bug, never))).rejects.toThrow(TypeError);
  expect(attempts).toBe(1);
});

test("refused credentials are renewed twice and no more", async () => {
  const { clock, requests, refreshes } = setUp();
  const cured = failing(clock, ["expired", "expired"]);
  expect(await drive(clock, requests.run({}, get, cured, never))).toBe(3);
  expect(refreshes()).toBe(2);
  const hopeless = failing(clock, ["expired", "expired", "expired", "expired"]);
  await expect(drive(clock, requests.run({}, get, hopeless, never))).rejects.toThrow("expired 3");
});

test("refusals that other requests' successes come between do not add up, but are not answered in a tight loop", async () => {
  const { clock, requests, refreshes } = setUp();
  const attempt = failing(clock, Array(6).fill("expired"));
  let done = false;
  const others = async (): Promise<void> => {
    while (!done) await requests.run({}, get, failing(clock, []), never);
  };
  const running = requests.run({}, get, attempt, never).finally(() => {
    done = true;
  });
  const [attempts] = await drive(clock, Promise.all([running, others()]));
  expect(attempts).toBe(7);
  expect(refreshes()).toBe(6);
  expect(clock.nowMs()).toBeGreaterThan(1000);
});

test("whoever renews credentials is told how long ago the refused request was sent", async () => {
  const { clock, requests, refusals } = setUp({ bytesPerSecond: 1000 });
  const attempt = failing(clock, ["expired", "expired"], 40, { serverTimeMs: 5 });
  await drive(clock, requests.run({}, get, attempt, never));
  expect(refusals).toEqual(Array(2).fill({ serverTimeMs: 5, sentMsAgo: 40 }));
});

test("attempts that cannot reach an endpoint that answered before are not counted, even when others fail after", async () => {
  const { clock, requests } = setUp({ retries: 2 });
  await drive(clock, requests.run({}, get, failing(clock, []), never));
  const outage = Array.from({ length: 12 }, () => "unreachable" as const);
  const attempt = failing(clock, [...outage, "server", "server"]);
  expect(await drive(clock, requests.run({}, get, attempt, never))).toBe(15);
});

test("an endpoint that never answered is given up after the retries", async () => {
  const { clock, requests } = setUp({ retries: 2 });
  const attempt = failing(clock, ["unreachable", "unreachable", "unreachable", "unreachable"]);
  await expect(drive(clock, requests.run({}, get, attempt, never))).rejects.toThrow("unreachable 3");
});

test("an outage ends when the time for it is over", async () => {
  const { clock, requests } = setUp({ retryForMs: 45_000 });
  await drive(clock, requests.run({}, get, failing(clock, []), never));
  const startMs = clock.nowMs();
  const attempt = failing(clock, Array(10_000).fill("unreachable"));
  await expect(drive(clock, requests.run({}, get, attempt, never))).rejects.toThrow(
    /unreachable.* 45 s \(--retry-for\)$/,
  );
  expect(clock.nowMs() - startMs).toBeGreaterThan(45_000);
  expect(clock.nowMs() - startMs).toBeLessThan(75_000);
});

test("a long time without requests is no outage", async () => {
  const { clock, requests } = setUp({ retryForMs: 60_000 });
  await clock.advance(3_600_000);
  expect(await drive(clock, requests.run({}, get, failing(clock, ["server"]), never))).toBe(2);
});

test("attempts that brought bytes are progress", async () => {
  const { clock, requests } = setUp({ retryForMs: 60_000 });
  const attempt = failing(clock, ["interrupted", "interrupted", "interrupted"], 50_000, { receivedBytes: 1 });
  expect(await drive(clock, requests.run({}, get, attempt, never))).toBe(4);
});

test("Retry-After is waited for", async () => {
  const { clock, requests } = setUp();
  const attempt = failing(clock, ["throttled"], 10, { retryAfterMs: 30_000 });
  await drive(clock, requests.run({}, get, attempt, never));
  expect(clock.nowMs()).toBeGreaterThanOrEqual(30_000);
});

test("no place is held while a request waits for its next attempt", async () => {
  const { clock, requests, admission } = setUp();
  const running = requests.run({}, get, failing(clock, ["throttled"], 10, { retryAfterMs: 30_000 }), never);
  await clock.advance(20_000);
  expect(admission.open).toBe(0);
  await drive(clock, running);
});

test("the gauge of open requests falls to zero", async () => {
  const { clock, requests, metrics } = setUp();
  const running = [1, 2, 3].map(() => requests.run({}, get, failing(clock, ["server"]), never));
  await turn();
  expect(metrics.open).toBe(3);
  await drive(clock, Promise.all(running));
  expect(metrics.open).toBe(0);
});

test("an abort ends a request wherever it waits, with the signal's reason, and holds nothing", async () => {
  for (const atMs of [0, 5, 11, 100]) {
    const { clock, requests, admission } = setUp({ bytesPerSecond: 100_000 });
    const stop = new AbortController();
    const attempt = async (): Promise<void> => {
      await clock.sleep(10, stop.signal);
      throw new CopyError("server", "");
    };
    const running = Array.from({ length: 12 }, () => requests.run({}, get, attempt, stop.signal));
    const ended = Promise.allSettled(running);
    await clock.advance(atMs);
    stop.abort(new Error("stop"));
    for (const result of await drive(clock, ended)) expect(result).toMatchObject({ reason: new Error("stop") });
    expect(admission.open).toBe(0);
    expect(clock.sleeping).toBe(0);
  }
});

test("what ended another request is not taken for an answer to this one", async () => {
  const { clock, requests, metrics, admission } = setUp();
  const stop = new AbortController();
  const running = requests.run({}, get, () => clock.sleep(1000, stop.signal), stop.signal);
  await turn();
  stop.abort(new CopyError("throttled", "another request was throttled"));
  await expect(running).rejects.toThrow("another request");
  expect(metrics.requests).toEqual(["get aborted"]);
  expect(admission.limit).toBe(4);
});

test("a throttled request halves the places", async () => {
  const { clock, requests, admission } = setUp();
  await drive(clock, requests.run({}, get, failing(clock, ["throttled"]), never));
  expect(admission.limit).toBe(2);
});

test("the limit is waited for before the request is sent, and the wait is told", async () => {
  const { clock, requests, metrics } = setUp({ bytesPerSecond: 1000 });
  const sentMs: number[] = [];
  const attempt = async (): Promise<void> => {
    sentMs.push(clock.nowMs());
  };
  await drive(clock, Promise.all([1, 2, 3].map(() => requests.run({}, get, attempt, never))));
  expect(sentMs.map((ms) => Math.round(ms / 100) * 100)).toEqual([0, 1000, 2000]);
  expect(metrics.limitedSeconds).toBeCloseTo(3, 0);
});

test("attempts that fail late do not let others exceed the limit", async () => {
  const { clock, requests } = setUp({ bytesPerSecond: 50_000, most: 100 });
  const arrivedMs: number[] = [];
  const attempt = async (): Promise<void> => {
    if (clock.nowMs() > 2000) return void arrivedMs.push(clock.nowMs());
    await clock.sleep(1500, never);
    throw new CopyError("missing", "");
  };
  const lane = async (): Promise<void> => {
    while (clock.nowMs() < 6000) await requests.run({}, get, attempt, never).catch(() => {});
  };
  await drive(clock, Promise.all(Array.from({ length: 100 }, lane)));
  const worst = Math.max(...arrivedMs.map((from) => arrivedMs.filter((ms) => ms >= from && ms < from + 1000).length));
  expect(worst).toBeLessThanOrEqual(52);
});

/** Lanes that go from object to object, as long as their failures are the objects' own; what ended them. */
async function lanesOf(clock: FakeClock, requests: Requests, attempt: () => Promise<unknown>): Promise<unknown> {
  let ended: unknown;
  const lane = async (): Promise<void> => {
    for (let objects = 0; ended === undefined && objects < 300; objects++) {
      await requests.run({}, get, attempt, never).catch((error: unknown) => {
        if (!isObjectsOwn(error)) ended ??= error;
      });
    }
  };
  await drive(clock, Promise.all(Array.from({ length: 4 }, lane)));
  return ended;
}

const hopeless: Record<string, readonly [ErrorKind, CopyErrorDetails]> = {
  "refuses everything": ["server", { receivedBytes: 300 }],
  "throttles everything": ["throttled", { receivedBytes: 300 }],
  "cannot be reached any more": ["unreachable", {}],
  "cuts every body": ["interrupted", { receivedBytes: 300 }],
  "speaks no HTTP": ["protocol", {}],
};

test.each(Object.entries(hopeless))(
  "a service that %s ends a run of any length, and soon",
  async (_, [kind, details]) => {
    const { clock, requests } = setUp({ retryForMs: 60_000 });
    await drive(clock, requests.run({}, get, failing(clock, []), never));
    const attempt = async (): Promise<void> => {
      await clock.sleep(10, never);
      throw new CopyError(kind, "no luck", details);
    };

    const error = await lanesOf(clock, requests, attempt);

    expect(error).toMatchObject({ kind: "outage", message: expect.stringMatching(/^no luck; .* 1 min /) });
    expect(clock.nowMs()).toBeGreaterThan(60_000);
    expect(clock.nowMs()).toBeLessThan(600_000);
  },
);

test("a run goes on as long as one object in a while succeeds", async () => {
  const { clock, requests } = setUp({ retryForMs: 60_000 });
  let attempts = 0;
  const attempt = async (): Promise<void> => {
    await clock.sleep(1000, never);
    if (++attempts % 6 > 0) throw new CopyError("server", "no luck");
  };
  expect(await lanesOf(clock, requests, attempt)).toBe(undefined);
  expect(clock.nowMs()).toBeGreaterThan(600_000);
});

test("a service that asks for more patience than there is gets what there is", async () => {
  const { clock, requests } = setUp({ retryForMs: 60_000 });
  const attempt = failing(clock, ["throttled"], 10, { retryAfterMs: 3_600_000 });
  await drive(clock, requests.run({}, get, attempt, never));
  expect(clock.nowMs()).toBeGreaterThanOrEqual(60_000);
  expect(clock.nowMs()).toBeLessThan(90_000);
});
