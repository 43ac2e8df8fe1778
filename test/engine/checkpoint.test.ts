import { expect, test } from "vitest";
import { whyNotResume } from "../../src/engine/checkpoint.ts";
import { sampleState } from "./checkpoint-samples.ts";

const hourMs = 3_600_000;
const state = sampleState();
const wanted = { fingerprint: state.fingerprint, nowMs: state.savedAtMs + hourMs, resumeWithinMs: 24 * hourMs };

test("a recent checkpoint of the same work is one to go on from", () => {
  expect(whyNotResume(state, wanted)).toBeUndefined();
  expect(whyNotResume(state, { ...wanted, nowMs: state.savedAtMs + 24 * hourMs })).toBeUndefined();
  // Clocks of two nodes differ a little.
  expect(whyNotResume(state, { ...wanted, nowMs: state.savedAtMs - 2000 })).toBeUndefined();
});

test.each([
  ["other work", { ...wanted, fingerprint: "other" }, state],
  ["did not ascend", wanted, sampleState({ keysAscend: false })],
  ["--resume-within", { ...wanted, nowMs: state.savedAtMs + 24 * hourMs + 1 }, state],
  ["--resume-within", { ...wanted, nowMs: state.savedAtMs - 25 * hourMs }, state],
])("one that is not says why: %s", (why, run, old) => {
  expect(whyNotResume(old, run)).toContain(why);
});
