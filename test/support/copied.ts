import { expect } from "vitest";
import type { World } from "./engine-world.ts";
import type { Fault, SeenRequest } from "./memory-bucket.ts";

export const mixed = { "a/1": 5, "a/2": 32, "b/large": 400, "b/more": 33, "c/": 0, empty: 0, huge: 900 } as const;

export function fill(world: World, sizes: Readonly<Record<string, number>> = mixed): World {
  for (const [key, sizeBytes] of Object.entries(sizes)) {
    world.bucket.put(
      key,
      Uint8Array.from({ length: sizeBytes }, (_, i) => (key.length * 31 + i * 7) & 255),
    );
  }
  return world;
}

export function expectCopied({ plane, bucket }: World, keys: readonly string[] = [...bucket.objects.keys()]): void {
  for (const key of keys.filter((each) => !each.endsWith("/"))) {
    const stored = bucket.stored(key);
    const file = plane.volume.files.get(key);
    expect(file && Buffer.from(file.bytes).equals(stored.bytes), key).toBe(true);
    expect(file?.modifiedMs).toBe(stored.modifiedMs);
  }
}

export function objects({ ledger }: World): Record<string, number> {
  const { listed, copied, skipped, failed } = ledger.counts;
  return { listed: listed.objects, copied: copied.objects, skipped: skipped.objects, failed: failed.objects };
}

export const faultOf =
  (key: string, fault: Fault) =>
  (request: SeenRequest): Fault | undefined =>
    request.operation === "get" && request.key === key ? fault : undefined;
