import { mkdir, readdir, readFile, rename, stat, symlink, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { beginAttempt, readOwnerRecord, recordFailure, removeState } from "../../src/volume/owner-record.ts";
import { failure, run, temporaryDirectory } from "./support.ts";

const fresh = {
  fingerprint: "sha256:abc",
  source: "oss://bucket/path",
  startedEmpty: true,
  firstStartedAt: "2026-01-02T03:04:05.000Z",
};
const failed = { at: "2026-01-02T04:00:00.000Z", exitCode: 7, kind: "unreachable", reason: "no route to the endpoint" };

describe("the owner record", () => {
  it("is absent on a volume that we never touched", async () => {
    await using place = await temporaryDirectory();
    expect(await readOwnerRecord(place.path)).toEqual({ status: "absent" });
    expect(await readdir(place.path)).toEqual([]);
  });

  it("comes back as it was written, for us alone to read", async () => {
    await using place = await temporaryDirectory();
    const record = await beginAttempt(place.path, fresh);
    expect(record).toEqual({ ...fresh, attempts: 1, lastFailure: undefined });
    expect(await readOwnerRecord(place.path)).toEqual({ status: "ours", record, complete: false });
    expect((await stat(`${place.path}/.oss-populator`)).mode & 0o777).toBe(0o700);
    expect(await readdir(`${place.path}/.oss-populator`)).toEqual(["owner.json"]);
  });

  it("counts attempts and keeps what the first one knew", async () => {
    await using place = await temporaryDirectory();
    const first = await beginAttempt(place.path, fresh);
    const again = { ...fresh, startedEmpty: false, firstStartedAt: "2026-02-02T00:00:00.000Z" };
    const second = await beginAttempt(place.path, again, await recordFailure(place.path, first, failed));
    expect(second).toMatchObject({ startedEmpty: true, firstStartedAt: fresh.firstStartedAt, attempts: 2 });
    expect(second.lastFailure?.reason).toBe(failed.reason);
  });

  it("keeps of a volume that did not begin empty since when there are files of this very work", async () => {
    await using place = await temporaryDirectory();
    const around = { ...fresh, startedEmpty: false, filledSinceMs: 1_700_000_000_000.25 };
    const first = await beginAttempt(place.path, around);
    expect(await readOwnerRecord(place.path)).toEqual({ status: "ours", record: first, complete: false });
    expect(first.filledSinceMs).toBe(1_700_000_000_000.25);
    const other = await beginAttempt(place.path, { ...around, fingerprint: "other", filledSinceMs: 2e12 }, first);
    expect(other).toMatchObject({ startedEmpty: false, filledSinceMs: 2e12, attempts: 2 });
    const path = `${place.path}/.oss-populator/owner.json`;
    await writeFile(path, (await readFile(path, "utf8")).replace("2000000000000", '"long ago"'));
    expect(await readOwnerRecord(place.path)).toMatchObject({ status: "damaged" });
  });

  it("counts failures of the same kind in a row", async () => {
    await using place = await temporaryDirectory();
    let record = await beginAttempt(place.path, fresh);
    for (const inARow of [1, 2, 3]) {
      record = await recordFailure(place.path, await beginAttempt(place.path, fresh, record), failed);
      expect(record.lastFailure?.inARow).toBe(inARow);
    }
    record = await recordFailure(place.path, record, { ...failed, exitCode: 3, kind: "auth" });
    expect(record.lastFailure?.inARow).toBe(1);
    expect(await readOwnerRecord(place.path)).toEqual({ status: "ours", record, complete: false });
  });

  it.each([
    ["empty", "", "damaged"],
    ["cut short", '{"format":"oss-populator.owner/v1","finger', "damaged"],
    ["no object", "[]", "damaged"],
    ["without its fields", '{"format":"oss-populator.owner/v1"}', "damaged"],
    ["of a later version", '{"format":"oss-populator.owner/v2","other":1}', "newer"],
    ["of another program", '{"format":"something/v1"}', "foreign"],
    ["of no format", "{}", "foreign"],
  ])("that is %s is told apart in one sentence", async (_why, text, status) => {
    await using place = await temporaryDirectory();
    await mkdir(`${place.path}/.oss-populator`);
    await writeFile(`${place.path}/.oss-populator/owner.json`, text);
    const state = await readOwnerRecord(place.path);
    expect(state).toMatchObject({ status, reason: expect.stringContaining("the owner record on the target") });
  });

  it("is absent where a run died before it had one or after it had removed it", async () => {
    await using place = await temporaryDirectory();
    await mkdir(`${place.path}/.oss-populator`);
    expect(await readOwnerRecord(place.path)).toEqual({ status: "absent" });
    await writeFile(`${place.path}/.oss-populator/owner.json.tmp`, "{");
    expect(await readOwnerRecord(place.path)).toEqual({ status: "absent" });
    await writeFile(`${place.path}/.oss-populator/checkpoint`, "{");
    expect(await readOwnerRecord(place.path)).toMatchObject({ status: "damaged" });
  });

  it("is not read through a symlink, and a FIFO does not stop us", async () => {
    await using place = await temporaryDirectory();
    await using other = await temporaryDirectory();
    await beginAttempt(other.path, fresh);
    await symlink(`${other.path}/.oss-populator`, `${place.path}/.oss-populator`);
    expect(await readOwnerRecord(place.path)).toMatchObject({ status: "foreign" });
    await failure("volume", () => beginAttempt(place.path, fresh));

    await using third = await temporaryDirectory();
    await mkdir(`${third.path}/.oss-populator`);
    await run("mkfifo", [`${third.path}/.oss-populator/owner.json`]);
    expect(await readOwnerRecord(third.path)).toMatchObject({ status: "damaged" });
  });

  it("tells a run that had only itself to remove from one that was at work", async () => {
    await using place = await temporaryDirectory();
    const record = await beginAttempt(place.path, fresh);
    await rename(`${place.path}/.oss-populator/owner.json`, `${place.path}/.oss-populator/complete.json`);
    await writeFile(`${place.path}/.oss-populator/checkpoint`, "{");
    expect(await readOwnerRecord(place.path)).toEqual({ status: "ours", record, complete: true });
    const again = await beginAttempt(place.path, fresh, record);
    expect(await readOwnerRecord(place.path)).toEqual({ status: "ours", record: again, complete: false });
    await removeState(place.path);
    expect(await readdir(place.path)).toEqual([]);
  });

  it("goes with everything in its directory, and only there", async () => {
    await using place = await temporaryDirectory();
    await writeFile(`${place.path}/data`, "data");
    await beginAttempt(place.path, fresh);
    await mkdir(`${place.path}/.oss-populator/deep/er`, { recursive: true });
    await symlink("../data", `${place.path}/.oss-populator/link`);
    await removeState(place.path);
    expect(await readdir(place.path)).toEqual(["data"]);
    expect(await readFile(`${place.path}/data`, "utf8")).toBe("data");
    await removeState(place.path);
  });
});
