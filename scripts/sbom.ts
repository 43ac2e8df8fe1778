/**
 * `node scripts/sbom.ts [FILE]` writes the software bill of materials of the image, CycloneDX as JSON: the production
 * dependencies of package-lock.json, this Node, the Debian packages that the file PACKAGES lists as lines of name and
 * version, and NODE_IMAGE, from which both come. The same input gives the same bytes; SOURCE_DATE_EPOCH is its time.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Component {
  readonly type: string;
  readonly name: string;
  readonly "bom-ref": string;
  readonly [field: string]: unknown;
}

/** What is read of the format, of which npm writes version 1.5: https://cyclonedx.org/docs/1.5/json/ */
interface Sbom {
  readonly metadata: { readonly component: Component; readonly [field: string]: unknown };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
  readonly [field: string]: unknown;
}

interface Manifest {
  readonly name: string;
  readonly devDependencies?: object;
}

interface Lockfile {
  readonly packages: Readonly<Record<string, Manifest & { readonly dev?: boolean }>>;
}

const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;
const { NODE_IMAGE: base, PACKAGES: packagesFile, SOURCE_DATE_EPOCH: epoch = "0" } = process.env;

/** `npm sbom --omit=dev` leaves out what production and development share, so it gets a project without development. */
function ofDependencies(): Sbom {
  const lock = JSON.parse(readFileSync("package-lock.json", "utf8")) as Lockfile;
  const production = Object.entries(lock.packages).filter(([, { dev }]) => dev !== true);
  const packages = Object.fromEntries(production.map(([path, each]) => [path, withoutDevelopment(each)]));
  const directory = mkdtempSync(join(tmpdir(), "oss-populator-sbom-"));
  try {
    writeFileSync(join(directory, "package.json"), JSON.stringify(withoutDevelopment(manifest)));
    writeFileSync(join(directory, "package-lock.json"), JSON.stringify({ ...lock, packages }));
    const options = ["--sbom-format=cyclonedx", "--sbom-type=application", "--package-lock-only"];
    return JSON.parse(execFileSync("npm", ["sbom", ...options], { encoding: "utf8", cwd: directory })) as Sbom;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function withoutDevelopment<T extends Manifest>(each: T): T {
  return { ...each, devDependencies: undefined };
}

function node(): Component {
  const version = process.versions.node;
  const purl = `pkg:generic/node@${version}`;
  return { type: "platform", name: "node", version, "bom-ref": purl, purl, licenses: [{ license: { id: "MIT" } }] };
}

function debianPackages(): Component[] {
  if (packagesFile === undefined) return [];
  const lines = readFileSync(packagesFile, "utf8").trimEnd().split("\n");
  return lines.map((line) => {
    const [name = "", version = ""] = line.split(" ");
    const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}`;
    return { type: "library", name, version, "bom-ref": purl, purl };
  });
}

/** `name:tag@digest` as a container image. */
function image(reference: string): Component {
  const [, name = reference, tag = "latest", digest] = /^(.*?)(?::([^:/@]+))?(?:@(.+))?$/.exec(reference) ?? [];
  const purl = `pkg:docker/${name}@${encodeURIComponent(digest ?? tag)}`;
  return { type: "container", name, version: digest ?? tag, "bom-ref": purl, purl };
}

/** npm names the application after its folder and numbers each document by chance. */
function complete(sbom: Sbom): Sbom {
  const { component } = sbom.metadata;
  const added = [node(), ...debianPackages(), ...(base ? [image(base)] : [])];
  const body = {
    ...sbom,
    metadata: {
      ...sbom.metadata,
      timestamp: new Date(Number(epoch) * 1000).toISOString(),
      component: { ...component, name: manifest.name },
    },
    components: [...sbom.components, ...added],
    dependencies: sbom.dependencies.map((each) =>
      each.ref === component["bom-ref"]
        ? { ...each, dependsOn: [...each.dependsOn, ...added.map((one) => one["bom-ref"])] }
        : each,
    ),
  };
  return { ...body, serialNumber: `urn:uuid:${uuidOf(JSON.stringify({ ...body, serialNumber: undefined }))}` };
}

/** A UUID of version 8, which is free to say what it stands for: a digest of the document. */
function uuidOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const text = `${JSON.stringify(complete(ofDependencies()), undefined, 2)}\n`;
const [file] = process.argv.slice(2);
if (file === undefined) process.stdout.write(text);
else writeFileSync(file, text);
