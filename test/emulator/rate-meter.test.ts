import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { startEmulatorProcess } from "./process.ts";

const SIZE_BYTES = 400 * 2 ** 20;

/** Reads `bytesPerSecond` from a socket by pausing it, for `seconds`, and says how many bytes it took. */
async function readPaced(port: number, path: string, bytesPerSecond: number, seconds: number): Promise<number> {
  const socket = connect(port, "127.0.0.1");
  socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  const startedAt = performance.now();
  let bytes = 0;
  socket.on("data", (data: Buffer) => {
    bytes += data.length;
    const aheadMs = (bytes / bytesPerSecond) * 1000 - (performance.now() - startedAt);
    if (aheadMs < 5) return;
    socket.pause();
    setTimeout(() => socket.resume(), aheadMs);
  });
  await sleep(seconds * 1000);
  socket.destroy();
  return bytes;
}

test("the bytes of each second are what a slow reader took, not what the kernel buffers", async () => {
  await using child = await startEmulatorProcess(["--anonymous", "--large", `1x${SIZE_BYTES}`]);
  const rate = 20_000_000;
  const taken = await readPaced(child.ready.port, "/demo-bucket/large/0000.bin", rate, 3.3);
  const seconds = await child.control.bytesSentPerSecond();
  const total = seconds.reduce((sum, bytes) => sum + bytes, 0);
  expect(seconds.length).toBeGreaterThanOrEqual(3);
  // Three whole seconds of 3.3; what the reader's own kernel buffers counts as taken.
  expect(total).toBeGreaterThan(taken * 0.7);
  expect(total).toBeLessThan(taken * 1.25);
  for (const bytes of seconds.slice(0, 3)) expect(bytes).toBeLessThan(rate * 1.25);
});
