import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { makeScratch } from "../e2e/support/scratch.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));
const base = "node:24-bookworm-slim@sha256:0123";

interface Component {
  readonly type: string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly hashes?: readonly object[];
}

async function sbom(env: Readonly<Record<string, string>>): Promise<string> {
  const options = { cwd: root, env: { PATH: process.env.PATH, ...env }, maxBuffer: 2 ** 24 };
  return (await run(process.execPath, ["scripts/sbom.ts"], options)).stdout;
}

test("the bill of materials has every production dependency with its digest, Node, Debian's packages and the base", async () => {
  await using scratch = await makeScratch();
  const packagesFile = join(scratch.path, "packages");
  await writeFile(packagesFile, "libc6 2.36-9+deb12u14\nlibstdc++6 12.2.0-14\n");
  const text = await sbom({ NODE_IMAGE: base, PACKAGES: packagesFile });
  const { bomFormat, metadata, components, dependencies } = JSON.parse(text);
  expect([bomFormat, metadata.component.name]).toEqual(["CycloneDX", "oss-populator"]);
  const lock = JSON.parse(readFileSync(`${root}package-lock.json`, "utf8")) as {
    readonly packages: Readonly<Record<string, { readonly version: string; readonly dev?: boolean }>>;
  };
  const wanted = Object.entries(lock.packages).flatMap(([path, { version, dev }]) =>
    path === "" || dev === true ? [] : [`${path.split("node_modules/").at(-1)}@${version}`],
  );
  const libraries = (components as Component[]).filter(({ purl }) => purl.startsWith("pkg:npm/"));
  expect(new Set(libraries.map(({ name, version }) => `${name}@${version}`))).toEqual(new Set(wanted));
  for (const { name, hashes } of libraries) expect(hashes?.length, name).toBeGreaterThan(0);
  const others = (components as Component[]).map(({ purl }) => purl).filter((purl) => !purl.startsWith("pkg:npm/"));
  expect(others).toEqual([
    `pkg:generic/node@${process.versions.node}`,
    "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14",
    "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14",
    "pkg:docker/node@sha256%3A0123",
  ]);
  const own = dependencies.find(({ ref }: { readonly ref: string }) => ref === metadata.component["bom-ref"]);
  expect(own.dependsOn).toEqual(expect.arrayContaining(others));
});

test("the bill of materials is the same each time, and its time is the one that it is given", async () => {
  const [one, another] = await Promise.all([sbom({ NODE_IMAGE: base }), sbom({ NODE_IMAGE: base })]);
  expect(another).toBe(one);
  expect(JSON.parse(await sbom({ SOURCE_DATE_EPOCH: "86400" })).metadata.timestamp).toBe("1970-01-02T00:00:00.000Z");
});
