import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));
const base = "gcr.io/distroless/nodejs24-debian12@sha256:0123";

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

test("the bill of materials has every production dependency with its digest, Node and the base image", async () => {
  const { bomFormat, metadata, components, dependencies } = JSON.parse(await sbom({ BASE_IMAGE: base }));
  expect([bomFormat, metadata.component.name]).toEqual(["CycloneDX", "oss-populator"]);
  const lock = JSON.parse(readFileSync(`${root}package-lock.json`, "utf8")) as {
    readonly packages: Readonly<Record<string, { readonly version: string; readonly dev?: boolean }>>;
  };
  const wanted = Object.entries(lock.packages).flatMap(([path, { version, dev }]) =>
    path === "" || dev === true ? [] : [`${path.split("node_modules/").at(-1)}@${version}`],
  );
  const libraries = (components as Component[]).filter(({ type }) => type === "library");
  expect(new Set(libraries.map(({ name, version }) => `${name}@${version}`))).toEqual(new Set(wanted));
  for (const { name, hashes } of libraries) expect(hashes?.length, name).toBeGreaterThan(0);
  const others = (components as Component[]).filter(({ type }) => type !== "library").map(({ purl }) => purl);
  expect(others).toEqual([
    `pkg:generic/node@${process.versions.node}`,
    "pkg:docker/distroless/nodejs24-debian12@sha256%3A0123?repository_url=gcr.io",
  ]);
  const own = dependencies.find(({ ref }: { readonly ref: string }) => ref === metadata.component["bom-ref"]);
  expect(own.dependsOn).toEqual(expect.arrayContaining(others));
});

test("the bill of materials is the same each time, and its time is the one that it is given", async () => {
  const [one, another] = await Promise.all([sbom({ BASE_IMAGE: base }), sbom({ BASE_IMAGE: base })]);
  expect(another).toBe(one);
  expect(JSON.parse(await sbom({ SOURCE_DATE_EPOCH: "86400" })).metadata.timestamp).toBe("1970-01-02T00:00:00.000Z");
});
