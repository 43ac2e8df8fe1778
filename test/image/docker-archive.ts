import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const mostListBytes = 64 * 2 ** 20;

/** What an image says of itself. */
export interface ImageConfig {
  readonly Entrypoint: readonly string[] | null;
  readonly Cmd: readonly string[] | null;
  readonly Env: readonly string[];
  readonly User: string;
  readonly Labels: Readonly<Record<string, string>>;
}

export interface UnpackedImage {
  readonly config: ImageConfig;
  /** SHA-256 of each layer, the base's first. */
  readonly layers: readonly string[];
}

/** Unpacks the filesystem of the only image in a docker archive (`docker save`) into `rootfs`. */
export async function unpackImage(archive: string, rootfs: string): Promise<UnpackedImage> {
  await mkdir(rootfs);
  const parts = await mkdtemp(`${rootfs}-parts-`);
  try {
    await run("tar", ["-xf", archive, "-C", parts]);
    const manifest: unknown = JSON.parse(await readFile(join(parts, "manifest.json"), "utf8"));
    // The format is Docker's: https://github.com/moby/moby/blob/master/image/spec/v1.2.md
    const [image] = manifest as readonly { Config: string; Layers: readonly string[] }[];
    if (!image) throw new Error(`${archive} holds no image`);
    for (const layer of image.Layers) await applyLayer(join(parts, layer), rootfs);
    const text = await readFile(join(parts, image.Config), "utf8");
    const { config, rootfs: content } = JSON.parse(text) as Readonly<{
      config: ImageConfig;
      rootfs: { readonly diff_ids: readonly string[] };
    }>;
    return { config, layers: content.diff_ids };
  } finally {
    await rm(parts, { recursive: true, force: true });
  }
}

/** A name `.wh.NAME` in a layer removes NAME of the layers below it. */
async function applyLayer(layer: string, rootfs: string): Promise<void> {
  const { stdout } = await run("tar", ["-tf", layer], { maxBuffer: mostListBytes });
  for (const name of stdout.split("\n")) {
    const [, directory = "", removed] = /^(.*\/)?\.wh\.([^/]+)$/.exec(name) ?? [];
    if (removed === ".wh..opq") throw new Error(`${layer} hides a whole directory, ${directory}`);
    if (removed !== undefined) await rm(join(rootfs, directory, removed), { recursive: true, force: true });
  }
  await run("tar", ["-xf", layer, "-C", rootfs, "--exclude", ".wh.*"]);
}
