/** Pods as lib-volume-populator makes them: our program as process 1, arguments and a volume, and nothing else. */
import { chmod, chown, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openScene, type Scene, type SceneOptions } from "../e2e/support/scene.ts";
import { type Container, type ContainerOptions, type Ended, type Image, startContainer } from "../support/container.ts";
import { hostImage } from "../support/host-image.ts";

export const prefix = "data/";
export const mountPath = "/mnt/target";

/** What the kubelet adds: the API server's address, and that of a service with an unlucky name. */
const environment = {
  HOME: "/",
  HOSTNAME: "populate-0f3d2c1b",
  KUBERNETES_SERVICE_HOST: "10.96.0.1",
  KUBERNETES_SERVICE_PORT: "443",
  KUBERNETES_SERVICE_PORT_HTTPS: "443",
  KUBERNETES_PORT: "tcp://10.96.0.1:443",
  KUBERNETES_PORT_443_TCP: "tcp://10.96.0.1:443",
  KUBERNETES_PORT_443_TCP_PROTO: "tcp",
  KUBERNETES_PORT_443_TCP_PORT: "443",
  OSS_POPULATOR_SERVICE_HOST: "10.96.7.7",
  OSS_POPULATOR_SERVICE_PORT: "9090",
  OSS_POPULATOR_PORT: "tcp://10.96.7.7:9090",
  OSS_POPULATOR_PORT_9090_TCP: "tcp://10.96.7.7:9090",
} as const;

/** A node: an emulator, an image, and pods on volumes. */
export interface Node extends Scene {
  pod(options?: PodOptions): Promise<Container>;
  /** Runs a pod to its end. */
  podToEnd(options?: PodOptions): Promise<PodEnd>;
}

export interface PodOptions extends Partial<ContainerOptions> {
  /** Arguments after those that every pod gets. */
  readonly more?: readonly string[];
  readonly path?: string;
}

export interface PodEnd extends Ended {
  /** What stands in the termination log; empty if nothing does. */
  readonly message: string;
}

/** Needs root. */
export async function openNode(options: SceneOptions = {}): Promise<Node> {
  const scene = await openScene({ ...options, anonymous: true });
  const image = await hostImage(scene.scratch.path);
  const pod = (podOptions: PodOptions = {}) => startPod(scene, image, podOptions);
  let ends = 0;
  return {
    ...scene,
    pod,
    podToEnd: async ({ terminationLog, ...podOptions } = {}) => {
      const log = terminationLog ?? (await terminationLogFile(scene, `ended-${++ends}`));
      await using container = await pod({ ...podOptions, terminationLog: log });
      return { ...(await container.ended), message: await readFile(log.file, "utf8") };
    },
  };
}

/** The file as the kubelet makes it: everybody may write to it. */
export async function terminationLogFile({ scratch }: Pick<Scene, "scratch">, name: string, writable = true) {
  const file = join(scratch.path, `${name}.termination-log`);
  await writeFile(file, "");
  await chmod(file, 0o666);
  return { file, writable };
}

function startPod({ emulator, target }: Scene, image: Image, options: PodOptions): Promise<Container> {
  const { more = [], path = prefix, ...rest } = options;
  const spec = JSON.stringify({ bucket: "test-bucket", region: "cn-hangzhou", path, mode: "generic" });
  const args = ["populate", `--target=${mountPath}`, `--spec=${spec}`, `--endpoint=${emulator.url}`, "--anonymous"];
  return startContainer(image, {
    volume: target,
    mountPath,
    env: environment,
    readOnly: false,
    ...rest,
    args: [...args, ...more],
  });
}

/** Gives a volume's root to a group, as the kubelet does before it starts a pod with an fsGroup. */
export async function applyFsGroup(
  volume: string,
  gid: number,
  names: readonly string[] = ["lost+found"],
): Promise<void> {
  for (const path of [volume, ...names.map((name) => join(volume, name))]) {
    const { uid, mode } = await stat(path);
    await chown(path, uid, gid);
    await chmod(path, (mode & 0o7777) | 0o2770);
  }
}

/** Why no pod can be run here; undefined if one can. */
export const obstacle = process.getuid?.() === 0 ? undefined : "needs root, to make namespaces and mounts";
