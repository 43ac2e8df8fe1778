import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startCli } from "./support/cli.ts";
import { bucketName, credentials, openScene, type RunOptions, type Scene } from "./support/scene.ts";
import { pathsIn } from "./support/tree.ts";

const canUnshare = await promisify(execFile)("unshare", ["--mount", "true"]).then(
  () => true,
  () => false,
);
const notPermitted = "needs the right to make a mount namespace";

async function openFilled(): Promise<Scene> {
  const scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: 5, sizeBytes: 1000 });
  return scene;
}

/** Starts the program with a `/dev` of its own, made further by `script`; what stands in its termination log follows it. */
function withOwnDev(script: string): RunOptions {
  const made = [
    "mount -t tmpfs tmpfs /dev",
    "mknod -m 666 /dev/null c 1 3",
    "mknod -m 666 /dev/urandom c 1 9",
    script,
    'code=0; "$@" || code=$?',
    "if [ -f /dev/termination-log ]; then cat /dev/termination-log; fi",
    "exit $code",
  ].join(" && ");
  return { wrapper: ["unshare", "--mount", "sh", "-c", made, "sh"], without: ["termination-log"] };
}

test.concurrent("the termination log of Kubernetes is written where it is there, after success and failure", async (context) => {
  if (!canUnshare) return context.skip(notPermitted);
  await using scene = await openFilled();
  const present = withOwnDev("{ printf %5000s old > /dev/termination-log; }");
  const complete = await scene.run("populate", [], present);
  expect(complete.exitCode).toBe(0);
  expect(JSON.parse(complete.stdout)).toMatchObject({ outcome: "complete", exitCode: 0, objects: { copied: 5 } });
  const failed = await scene.run("populate", [], { ...present, path: "nothing/" });
  expect(JSON.parse(failed.stdout)).toMatchObject({ outcome: "failed", exitCode: failed.exitCode });
  const wrong = await scene.run("populate", ["--throughput", "0"], present);
  expect(JSON.parse(wrong.stdout)).toMatchObject({ exitCode: 2, reason: expect.stringContaining("--throughput") });
});

test.concurrent("a termination log that is not there is passed over, and not made", async (context) => {
  if (!canUnshare) return context.skip(notPermitted);
  await using scene = await openFilled();
  const result = await scene.run("populate", [], withOwnDev("true"));
  expect(result).toMatchObject({ exitCode: 0, stdout: "" });
  expect(result.lines.filter(({ level }) => level === "warn")).toEqual([]);
});

const unwritable = [
  [
    "on a read-only mount",
    "touch /dev/termination-log && mount --bind /dev/termination-log /dev/termination-log && mount -o remount,bind,ro /dev/termination-log",
    "EROFS",
  ],
  ["that is a directory", "mkdir /dev/termination-log", "EISDIR"],
  ["that is a FIFO without a reader", "mkfifo /dev/termination-log", "ENXIO"],
] as const;
for (const [what, script, code] of unwritable) {
  test.concurrent(`a termination log ${what} is a warning and changes nothing`, async (context) => {
    if (!canUnshare) return context.skip(notPermitted);
    await using scene = await openFilled();
    const result = await scene.run("populate", [], withOwnDev(script));
    expect(result).toMatchObject({ exitCode: 0, stdout: "", report: { outcome: "complete" } });
    expect(result.lines.filter(({ level }) => level === "warn")).toMatchObject([
      { problem: expect.stringMatching(`^cannot write the termination log /dev/termination-log: ${code}`) },
    ]);
  });
}

test.concurrent("variables that a Service called oss-populator brings are neither options nor a reason to complain", async () => {
  await using scene = await openFilled();
  const links = {
    OSS_POPULATOR_SERVICE_HOST: "10.0.0.1",
    OSS_POPULATOR_SERVICE_PORT: "80",
    OSS_POPULATOR_SERVICE_PORT_METRICS: "9090",
    OSS_POPULATOR_PORT: "tcp://10.0.0.1:80",
    OSS_POPULATOR_PORT_80_TCP: "tcp://10.0.0.1:80",
    OSS_POPULATOR_PORT_80_TCP_PROTO: "tcp",
    OSS_POPULATOR_PORT_80_TCP_PORT: "80",
    OSS_POPULATOR_PORT_80_TCP_ADDR: "10.0.0.1",
    OSS_POPULATOR_TARGET_SERVICE_HOST: "10.0.0.2",
    OSS_POPULATOR_TARGET_PORT: "tcp://10.0.0.2:1",
  };
  const result = await scene.run("populate", [], { env: { ...credentials, ...links } });
  expect(result).toMatchObject({ exitCode: 0 });
  expect(result.lines.filter(({ level }) => level === "warn")).toEqual([]);
  expect(await pathsIn(scene.target)).toHaveLength(5);
});

test.concurrent("a variable that is no option's is a warning that names the nearest", async () => {
  const env = { ...credentials, OSS_POPULATOR_CONCURENCY: "5", OSS_POPULATOR_FLAVOUR: "x" };
  await using scene = await openFilled();
  const result = await scene.run("populate", [], { env });
  expect(result.exitCode).toBe(0);
  expect(result.lines.filter(({ event }) => event === "configuration").map(({ problem }) => problem)).toEqual([
    "OSS_POPULATOR_CONCURENCY is no variable of ours; did you mean OSS_POPULATOR_CONCURRENCY?",
    "OSS_POPULATOR_FLAVOUR is no variable of ours",
  ]);
  expect((await startCli(["--version"], { env }).result).stderr).toBe("");
});
