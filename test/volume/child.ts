import { CopyError } from "../../src/errors.ts";
import { finishDirectories } from "../../src/volume/finish-directories.ts";
import { resolvePath } from "../../src/volume/path.ts";
import { prepareTarget, type TargetOptions } from "../../src/volume/target.ts";
import { VolumeWriter, type VolumeWriterOptions } from "../../src/volume/volume-writer.ts";

/** What tests ask a process with another umask or identity to do; see `inChild`. */
type Job =
  | {
      umask?: number;
      do: "write";
      options: VolumeWriterOptions;
      paths: string[];
      version?: string;
      large?: boolean;
      finish?: boolean;
    }
  | { umask?: number; do: "prepare"; options: TargetOptions };

const job: Job = JSON.parse(process.argv[2] ?? "");
if (job.umask !== undefined) process.umask(job.umask);
try {
  const result = job.do === "prepare" ? await prepareTarget(job.options) : await writeAll(job);
  console.log(JSON.stringify({ result: result ?? null }));
} catch (error) {
  if (!(error instanceof CopyError)) throw error;
  console.log(JSON.stringify({ kind: error.kind, message: error.message }));
}

async function writeAll(job: Extract<Job, { do: "write" }>): Promise<void> {
  const { options, paths, version = "v1", large, finish } = job;
  using writer = new VolumeWriter(options);
  for (const path of paths) {
    const target = { path: resolvePath(path), sizeBytes: 3, modifiedMs: 0, version };
    if (large) await (await writer.openFile(target)).settle();
    else writer.writeWhole(target, Buffer.from("abc"));
  }
  if (!finish) return;
  const pass = { root: options.root, attributes: options, chownRoot: false, resumed: false, fsync: false };
  await finishDirectories(pass, new AbortController().signal);
}
