import { lstat, mkdir, readlink, realpath, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Image } from "./container.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));
const shared = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];

/**
 * The built program as if it were an image: this machine's programs and libraries, this Node, `dist` and its modules, and
 * nothing else of this machine's files. `directory` is where the few files of its own lie.
 */
export async function hostImage(directory: string): Promise<Image> {
  const rootfs = join(directory, "rootfs");
  await mkdir(join(rootfs, "etc"), { recursive: true });
  const binds: Record<string, string> = {
    "/app/node": await realpath(process.execPath),
    "/app/dist": join(project, "dist"),
    "/app/node_modules": await realpath(join(project, "node_modules")),
    "/app/package.json": join(project, "package.json"),
  };
  for (const path of shared) {
    const stats = await lstat(path).catch(() => undefined);
    if (stats?.isSymbolicLink()) await symlink(await readlink(path), join(rootfs, path));
    else if (stats !== undefined) binds[path] = path;
  }
  const search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  return {
    rootfs,
    binds,
    config: { Entrypoint: ["/app/node", "/app/dist/cli.js"], Cmd: null, Env: [`PATH=${search}`] },
  };
}
