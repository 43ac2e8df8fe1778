import { expect, test } from "vitest";
import { PendingExchange } from "../../../src/oss/http/pending-exchange.ts";
import type { Receiver } from "../../../src/oss/http/transport.ts";

const never = new AbortController().signal;

test("a request that was given up while its connection was being replaced fails once", () => {
  const told: unknown[] = [];
  const receiver: Receiver = {
    head: () => {},
    buffer: () => undefined,
    filled: () => {},
    ended: () => told.push("ended"),
    failed: (error) => told.push(error),
  };
  let settled = 0;
  const events = { stale: () => {}, settled: () => settled++ };
  const exchange = new PendingExchange({ method: "GET", text: "", receiver, signal: never }, events);
  exchange.stale();
  exchange.giveUp("enough");
  exchange.failed("the replacement cannot be had");
  expect([told, settled]).toEqual([["enough"], 1]);
});
