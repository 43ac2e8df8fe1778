/**
 * The built image, run as a cluster would run it. Set IMAGE_BUILDER to a program that is called with a build context and
 * a tag, builds the Dockerfile there and names the docker archive that it made (a path that ends in .tar) as the last
 * word of its output; or set IMAGE_ARCHIVE to such an archive, as `docker save` writes it. The builder is also called with
 * --no-cache and --timestamp=0 after these, for a build that can be repeated. Needs root.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chown, lstat, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compareTree } from "../emulator/compare-tree.ts";
import { addDemoSet } from "../emulator/demo-set.ts";
import { DEFAULT_CREDENTIAL, Emulator } from "../emulator/server.ts";
import { type ControlGroup, makeControlGroup, noControlGroup } from "../support/cgroup.ts";
import { type ContainerOptions, type Ended, type Image, startContainer } from "../support/container.ts";
import { type UnpackedImage, unpackImage } from "./docker-archive.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));
const { IMAGE_BUILDER: builder, IMAGE_ARCHIVE: givenArchive } = process.env;
const buildTimeoutMs = 15 * 60_000;

const obstacle =
  builder === undefined && givenArchive === undefined
    ? "neither IMAGE_BUILDER nor IMAGE_ARCHIVE is set"
    : process.getuid?.() !== 0
      ? "only root can start containers"
      : undefined;
if (obstacle !== undefined) console.warn(`The image is not tested: ${obstacle}.`);

async function buildImage(program: string, tag: string, ...more: readonly string[]): Promise<string> {
  const child = spawn(program, [project, tag, ...more], { stdio: ["ignore", "pipe", "pipe"] });
  const outputs = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await once(child, "close");
  const output = (await outputs).join("\n").trimEnd();
  const archive = /(\S+\.tar)$/.exec(output)?.[1];
  if (code !== 0 || archive === undefined) throw new Error(`the image cannot be built: ${output.slice(-2000)}`);
  return archive;
}

describe.skipIf(obstacle !== undefined)(`the image${obstacle === undefined ? "" : ` (skipped: ${obstacle})`}`, () => {
  let directory: string;
  let image: Image;
  let unpacked: UnpackedImage;
  let emulator: Emulator;

  beforeAll(async () => {
    const archive = givenArchive ?? (await buildImage(builder ?? "", "oss-populator:test"));
    directory = await mkdtemp(join(tmpdir(), "oss-populator-image-"));
    const rootfs = join(directory, "rootfs");
    unpacked = await unpackImage(archive, rootfs);
    image = { rootfs, config: unpacked.config };
    emulator = await Emulator.start();
    addDemoSet(emulator.bucket("data-sets"), { prefix: "data/", smallCount: 200, largeBytes: [30_000_001] });
  }, buildTimeoutMs);

  afterAll(async () => {
    await emulator?.[Symbol.asyncDispose]();
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  });

  async function run(options: ContainerOptions): Promise<Ended> {
    await using container = await startContainer(image, options);
    return await container.ended;
  }

  function populate(...more: readonly string[]): Pick<ContainerOptions, "args" | "env"> {
    const { accessKeyId, accessKeySecret } = DEFAULT_CREDENTIAL;
    const endpoint = more.includes("--endpoint") ? [] : ["--endpoint", emulator.url];
    const source = ["--bucket", "data-sets", "--path", "data/", ...endpoint, "--region", "cn-hangzhou"];
    return {
      args: ["populate", ...source, "--target", "/mnt", ...more],
      env: { ALIBABA_CLOUD_ACCESS_KEY_ID: accessKeyId, ALIBABA_CLOUD_ACCESS_KEY_SECRET: accessKeySecret },
    };
  }

  async function volumeOf(name: string, uid: number): Promise<string> {
    const volume = join(directory, name);
    await mkdir(volume);
    await chown(volume, uid, uid);
    return volume;
  }

  test("takes verbs and options as arguments and has the program's own version", async () => {
    const { version } = JSON.parse(await readFile(join(project, "package.json"), "utf8")) as { version: string };
    expect(await run({ args: ["--version"] })).toMatchObject({ code: 0, stdout: `${version}\n` });
    const help = await run({ args: ["populate", "--help"], uid: 12_345 });
    expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining("Usage: oss-populator populate") });
    expect(await run({ args: ["--help"] })).toMatchObject({ code: 0, stderr: "" });
    expect(["", "0", "root"]).toContain(unpacked.config.User);
    expect(image.config.Entrypoint).toEqual(["node", "/app/dist/cli.js"]);
    expect(unpacked.config.Labels["org.opencontainers.image.version"]).toBe(version);
  });

  test("holds the production dependencies, no others, and the helper programs", async () => {
    const lock: unknown = JSON.parse(await readFile(join(project, "package-lock.json"), "utf8"));
    const { packages } = lock as { packages: Readonly<Record<string, { dev?: boolean }>> }; // npm wrote it
    const entries = Object.entries(packages).filter(([path]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path));
    const wanted = entries.flatMap(([path, { dev }]) => (dev === true ? [] : [path.slice("node_modules/".length)]));
    expect((await installed(join(image.rootfs, "app/node_modules"))).toSorted()).toEqual(wanted.toSorted());
    for (const program of ["sync", "fallocate", "flock"]) {
      expect((await lstat(join(image.rootfs, "usr/bin", program))).mode & 0o111, program).toBe(0o111);
    }
  });

  test("has nothing of development, no shell, and a bill of what it is made of", async () => {
    const app = join(image.rootfs, "app");
    expect((await readdir(app)).toSorted()).toEqual([
      "LICENSE",
      "dist",
      "node_modules",
      "package.json",
      "sbom.cdx.json",
    ]);
    const files = await readdir(app, { recursive: true });
    expect(files.filter((file) => /\.([cm]?ts|map|md)$/.test(file))).toEqual([]);
    const { components } = JSON.parse(await readFile(join(app, "sbom.cdx.json"), "utf8"));
    const names = components.map(({ name }: { readonly name: string }) => name);
    expect(names).toEqual(expect.arrayContaining(["undici", "node", "libc6", "util-linux", "coreutils"]));
    await expect(lstat(join(image.rootfs, "bin/sh"))).rejects.toThrow("ENOENT");
  });

  test.skipIf(builder === undefined)(
    "is the same, byte for byte, when it is built again",
    async () => {
      const archive = await buildImage(builder ?? "", "oss-populator:again", "--no-cache", "--timestamp=0");
      const another = await buildImage(builder ?? "", "oss-populator:once-more", "--no-cache", "--timestamp=0");
      const [one, two] = await Promise.all(
        [archive, another].map((each, index) => unpackImage(each, join(directory, `again-${index}`))),
      );
      expect(two?.layers).toEqual(one?.layers);
    },
    buildTimeoutMs,
  );

  test("sends its first request soon, on one CPU", async (context) => {
    await using group = await makeControlGroup(`oss-populator-image-${process.pid}`, { cpus: 1, memoryBytes: 2 ** 28 });
    if (group === undefined) return context.skip(noControlGroup);
    const rounds: FirstRequest[] = [];
    while (rounds.length < 9) rounds.push(await firstRequest(group));
    const sorted = (of: (round: FirstRequest) => number) => rounds.map(of).toSorted((a, b) => a - b);
    const [wall, cpu] = [sorted(({ wallMs }) => Math.round(wallMs)), sorted(({ cpuMs }) => cpuMs)];
    console.info(
      `process 1 to its first request: ${wall.join(", ")} ms, the median ${wall[4]}; CPU ${cpu.join(", ")} ms`,
    );
    // Generous, for a machine that has other things to do.
    expect(wall[0]).toBeLessThan(5000);
  });

  /** What it takes from the moment at which the container is ready for its entrypoint until somebody asks for a listing. */
  async function firstRequest(group: ControlGroup): Promise<FirstRequest> {
    const asked = Promise.withResolvers<number>();
    const server = createServer((_, response) => {
      asked.resolve(Date.now());
      response.destroy();
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo; // it listens on a port
    const startedFile = join(directory, "started");
    const options = { ...populate("--endpoint", `http://127.0.0.1:${port}`), group, startedFile };
    const volume = await mkdtemp(join(directory, "volume-"));
    try {
      await using container = await startContainer(image, { ...options, volume });
      const wallMs = (await asked.promise) - Number(await readFile(startedFile, "utf8")) / 1e6;
      return { wallMs, cpuMs: await cpuMsOf(await container.pid()) };
    } finally {
      server.close();
    }
  }

  test.each([0, 12_345])("fills a mounted volume as user %i with a read-only root", async (uid) => {
    const volume = await volumeOf(`volume-${uid}`, uid);
    const ended = await run({ ...populate(), uid, volume });
    expect(ended.code, ended.stderr).toBe(0);
    const compared = await compareTree(emulator.bucket("data-sets"), "data/", volume);
    expect(compared).toMatchObject({ files: 212, differences: [] });
    expect(await lstat(join(volume, "large/shard-00001.bin"))).toMatchObject({ uid, gid: uid });
  });

  test("says so when nothing is mounted at the target", async () => {
    const { code, stderr } = await run(populate("--fail-hold", "0"));
    expect(code, stderr).toBe(5);
    expect(stderr).toContain("/mnt");
  });

  test.each(["SIGTERM", "SIGINT"] as const)("%s reaches the program, which is process 1", async (signal) => {
    const volume = await volumeOf(`stopped-${signal}`, 0);
    await using container = await startContainer(image, { ...populate("--throughput", "1"), volume });
    await container.logged('"event":"listing complete"');
    await container.kill(signal);
    const { code, stderr } = await container.ended;
    expect(code, stderr).toBe(signal === "SIGTERM" ? 143 : 130);
    expect(stderr).toContain(`stopped by ${signal}`);
  });
});

/** Names of installed packages, with their scope. */
async function installed(directory: string): Promise<string[]> {
  const names: string[] = [];
  for (const name of await readdir(directory)) {
    if (name.startsWith(".")) continue;
    if (name.startsWith("@")) names.push(...(await readdir(join(directory, name))).map((inner) => `${name}/${inner}`));
    else names.push(name);
  }
  return names;
}

interface FirstRequest {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** CPU time that a process has used; Linux counts it in hundredths of a second. */
async function cpuMsOf(pid: number): Promise<number> {
  const afterName = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1] ?? "";
  const [user = 0, system = 0] = afterName.split(" ").slice(11, 13).map(Number);
  return (user + system) * 10;
}
