import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Addresses } from "../../../src/oss/http/addresses.ts";

describe("the addresses of a host", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function host(...answers: (readonly string[] | Error)[]) {
    let lookUps = 0;
    const addresses = new Addresses("bucket.example", () => {
      const answer = answers[Math.min(lookUps++, answers.length - 1)] ?? [];
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer.map((address) => ({ address })));
    });
    return { addresses, lookUps: () => lookUps };
  }

  test("are used in turn, with one look-up", async () => {
    const { addresses, lookUps } = host(["a", "b", "c"]);
    const first = [];
    for (let i = 0; i < 4; i++) first.push((await addresses.inOrder()).join(""));
    expect(first).toEqual(["abc", "bca", "cab", "abc"]);
    expect(lookUps()).toBe(1);
  });

  test("come last for a while after they failed", async () => {
    const { addresses } = host(["a", "b", "c"]);
    await addresses.inOrder();
    addresses.failed("b");
    expect((await addresses.inOrder()).at(-1)).toBe("b");
    expect((await addresses.inOrder()).at(-1)).toBe("b");
    vi.advanceTimersByTime(31_000);
    expect(
      new Set([(await addresses.inOrder())[0], (await addresses.inOrder())[0], (await addresses.inOrder())[0]]).size,
    ).toBe(3);
  });

  test("are looked up again after a minute, in the background, and kept if that fails", async () => {
    const { addresses, lookUps } = host(["a"], new Error("out"), ["b"]);
    await addresses.inOrder();
    vi.advanceTimersByTime(61_000);
    expect(await addresses.inOrder()).toEqual(["a"]);
    await Promise.resolve();
    expect(await addresses.inOrder()).toEqual(["a"]);
    await vi.waitFor(async () => expect(await addresses.inOrder()).toEqual(["b"]));
    expect(lookUps()).toBe(3);
  });

  test("that cannot be looked up at first are asked for again the next time", async () => {
    const { addresses } = host(new Error("no such name"), ["a"]);
    await expect(addresses.inOrder()).rejects.toThrow("no such name");
    expect(await addresses.inOrder()).toEqual(["a"]);
  });

  test("of an address are that address, without a look-up", async () => {
    const addresses = new Addresses("127.0.0.1", () => Promise.reject(new Error("looked up")));
    addresses.failed("127.0.0.1");
    vi.advanceTimersByTime(1_000_000);
    expect(await addresses.inOrder()).toEqual(["127.0.0.1"]);
  });
});
