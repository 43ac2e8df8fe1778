import { setImmediate } from "node:timers/promises";
import { MessageChannel } from "node:worker_threads";
import { afterEach, expect, test, vi } from "vitest";
import type { LocalPlane } from "../../src/data/local-plane.ts";
import { packWholes } from "../../src/data/thread-protocol.ts";
import { ThreadServer } from "../../src/data/thread-server.ts";
import type { FileTarget, WholeWatcher } from "../../src/types.ts";
import { resolvePath } from "../../src/volume/path.ts";

const target: FileTarget = { path: resolvePath("k"), sizeBytes: 1, modifiedMs: 0, version: "v" };
const idle = { receivedBytes: 0, writtenBytes: 0, sourceSeconds: 0, diskSeconds: 0, bufferBytes: 0 };

afterEach(() => {
  vi.useRealTimers();
});

test("the end of an object is told in the same turn, though others are still running", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "setInterval"] });
  const watchers: WholeWatcher[] = [];
  const plane = {
    copyWholes: (_requests: unknown, _signal: unknown, watcher: WholeWatcher) => watchers.push(watcher),
    stats: () => idle,
  };
  const { port1, port2 } = new MessageChannel();
  const signing = { credentials: { accessKeyId: "i", accessKeySecret: "s" }, clockOffsetMs: 0 };
  // Of a plane it needs no more than these here.
  new ThreadServer(port1, plane as unknown as LocalPlane, signing).start([]);
  const told: unknown[] = [];
  port2.on("message", ({ copied }) => told.push(...copied));
  const requests = ["a", "b", "c"].map((key) => ({ key, etag: "e", target }));
  port2.postMessage(packWholes(requests, 0, 0));
  while (watchers.length === 0) await setImmediate();
  watchers[0]?.copied(1, "crc64");
  watchers[0]?.copied(2, "md5");
  for (let turn = 0; turn < 20 && told.length === 0; turn++) await setImmediate();
  expect(told).toEqual([1, 0, 2, 1]);
  port2.close();
});
