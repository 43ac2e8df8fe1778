/** Volumes whose consumer has an fsGroup: whether the kubelet has to walk over every file before the pod can start. */
import { stat } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { mountExt4, notMounted } from "../e2e/support/mounts.ts";
import { bucketName } from "../e2e/support/scene.ts";
import { differencesFrom, readTree } from "../e2e/support/tree.ts";
import { objectOf, workersOf } from "../examples/files.ts";
import { applyFsGroup, type Node, obstacle, openNode, prefix } from "./pods.ts";

const setgid = 0o2000;
const [worker] = workersOf(objectOf("ownership.yaml", "Pod"));
/** The arguments of the example that are about owners and modes. */
const ownership = (worker?.args ?? []).filter((arg) => /^--(uid|gid|dir-mode|file-mode|chown-root)\b/.test(arg));
const fsGroup = Number(ownership.find((arg) => arg.startsWith("--gid="))?.slice("--gid=".length));

/** The kubelet's rule for OnRootMismatch on a volume that can be written: it looks at the root, and at nothing else. */
async function mustWalk(root: string, group: number): Promise<boolean> {
  const { gid, mode } = await stat(root);
  const wanted = 0o770; // read and write for owner and group, and to enter
  return gid !== group || (mode & wanted) !== wanted || (mode & setgid) === 0;
}

/** The paths to which a walk would give another group or mode. */
async function changedByWalk(root: string, group: number): Promise<string[]> {
  const tree = await readTree(root);
  return [...tree].flatMap(([path, { kind, gid, mode }]) => {
    const wanted = kind === "directory" ? 0o770 | setgid : 0o660;
    return path === "lost+found" || (gid === group && (mode & wanted) === wanted) ? [] : [path];
  });
}

async function openFilled(): Promise<Node> {
  const node = await openNode();
  node.emulator.generate({ bucket: bucketName, prefix: "data/a/b/", count: 30, sizeBytes: { min: 0, max: 3000 } });
  node.emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 2 ** 21 });
  node.emulator.putObject(bucketName, "data/empty/", "");
  return node;
}

describe.skipIf(obstacle !== undefined)(
  `owners and modes${obstacle === undefined ? "" : ` (skipped: ${obstacle})`}`,
  () => {
    test("are options of the example, for the group of its consumer", () => {
      const consumer = examplesConsumer();
      expect(ownership).toEqual([`--gid=${consumer.fsGroup}`, "--dir-mode=2775", "--file-mode=0664", "--chown-root"]);
      expect(consumer.fsGroupChangePolicy).toBe("OnRootMismatch");
    });

    test("without them the kubelet walks, and changes every file", async () => {
      await using node = await openFilled();
      await using volume = await mountExt4(node.scratch.path, 64 * 2 ** 20);
      if (volume === undefined) throw new Error(notMounted);
      expect(await node.podToEnd({ volume: volume.path })).toMatchObject({ code: 0 });
      expect(await mustWalk(volume.path, fsGroup)).toBe(true);
      expect((await changedByWalk(volume.path, fsGroup)).length).toBeGreaterThan(30);
    });

    test.each([
      ["root", {}],
      ["another user, in the group by its own fsGroup", { uid: 12_345, fsGroup, capabilities: "none" }],
    ] as const)("with them it does not, and a walk would change nothing: as %s", async (_, { ...user }) => {
      await using node = await openFilled();
      await using volume = await mountExt4(node.scratch.path, 64 * 2 ** 20);
      if (volume === undefined) throw new Error(notMounted);
      if ("fsGroup" in user) await applyFsGroup(volume.path, user.fsGroup);

      const { code, stderr } = await node.podToEnd({
        ...user,
        volume: volume.path,
        more: [...ownership, "--fail-hold=0"],
      });

      expect([code, stderr]).toEqual([0, expect.any(String)]);
      expect(await mustWalk(volume.path, fsGroup)).toBe(false);
      expect(await changedByWalk(volume.path, fsGroup)).toEqual([]);
      expect(await differencesFrom(node.bucket, volume.path, { prefix, ignore: ["lost+found"] })).toEqual([]);
      const { kind, mode } = (await readTree(volume.path)).get("a/b") ?? {};
      expect([kind, mode?.toString(8)]).toEqual(["directory", "2775"]);
    });
  },
);

function examplesConsumer(): { readonly fsGroup: number; readonly fsGroupChangePolicy: string } {
  return objectOf("ownership.yaml", "Pod", "consumer").spec.securityContext;
}
