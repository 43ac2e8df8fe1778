import { constants, type Stats } from "node:fs";
import { access, lstat, mkdir, open, opendir, realpath, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { CopyError } from "../errors.ts";
import {
  type Attributes,
  directoryLacks,
  isUnfinishedDirectory,
  keepsUsOut,
  unfinishedMode,
  wantedDirectoryMode,
} from "./attributes.ts";
import { describeKind, errnoOf, volumeError } from "./errors.ts";
import { readIdentity } from "./identity.ts";
import { lostAndFound, probePrefix, stateDirectory } from "./path.ts";
import { probeTarget, refusal, type TargetAbilities } from "./probe.ts";

export interface TargetOptions extends Attributes {
  readonly directory: string;
  readonly verb: "populate" | "copy" | "verify";
  /** Nothing may be written. */
  readonly dryRun: boolean;
  readonly allowRootFilesystem: boolean;
  /** Whether we are process 1, and so in a container of our own. */
  readonly processOne: boolean;
  readonly mtime: boolean;
}

export interface PreparedTarget {
  /** Real path; every symlink on the way to the target has been resolved, once. */
  readonly root: string;
  /** False only for a dry run of a copy into a directory that is still to be made. */
  readonly exists: boolean;
  /** The first names at the root that are neither ours nor `lost+found`; none means empty. */
  readonly foreignNames: readonly string[];
  readonly hasStateDirectory: boolean;
  /** Undefined when nothing may be written. */
  readonly abilities: TargetAbilities | undefined;
}

const mostForeignNames = 10;
/** A probe this much older than ours was left by a run that was killed. */
const staleProbeMs = 60_000;

/** Finds the target, tests that it takes what is to be written, and looks at what is there. Throws CopyError `volume`. */
export async function prepareTarget(options: TargetOptions): Promise<PreparedTarget> {
  const { directory, verb } = options;
  const writes = verb !== "verify" && !options.dryRun;
  const found = await statTarget(directory);
  if (found === undefined) {
    if (verb !== "copy") throw new CopyError("volume", `the target ${directory} does not exist`);
    if (!writes) return nothingThere(directory);
    await makeTarget(options);
  } else if (!found.isDirectory()) {
    throw new CopyError("volume", `the target ${directory} is ${describeKind(found)}, not a directory`);
  } else if (writes && verb === "copy" && isUnfinishedDirectory(found, readIdentity().uid)) {
    await dressTarget(options);
  }
  const root = await resolved(directory);
  if (verb === "populate") await refuseRootFilesystem(root, options);
  if (verb !== "verify") refuseClosedDirectories(options);
  const { probes, ...contents } = await look(root);
  if (writes) {
    const abilities = await probeTarget({ root, attributes: options, staged: verb === "copy" });
    refuseWithoutTimes(abilities, options);
    await removeStaleProbes(root, probes, abilities.startedCtimeMs);
    return { root, exists: true, ...contents, abilities };
  }
  if (verb !== "verify") await checkAccess(root);
  return { root, exists: true, ...contents, abilities: undefined };
}

function nothingThere(root: string): PreparedTarget {
  return { root, exists: false, foreignNames: [], hasStateDirectory: false, abilities: undefined };
}

async function statTarget(directory: string): Promise<Stats | undefined> {
  try {
    return await stat(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw volumeError(error, "look at the target", directory);
  }
}

/** Other shards may be doing the same, and any process may be killed at any step. */
async function makeTarget(options: TargetOptions): Promise<void> {
  const { directory, dirMode } = options;
  try {
    await mkdir(dirname(directory), { recursive: true, mode: dirMode });
    await mkdir(directory, unfinishedMode);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw volumeError(error, "make the target", directory);
  }
  await dressTarget(options);
}

async function dressTarget(options: TargetOptions): Promise<void> {
  try {
    await using handle = await open(options.directory, constants.O_RDONLY | constants.O_DIRECTORY);
    const stats = await handle.stat();
    const lacks = directoryLacks(stats, options);
    if (lacks.mode) await handle.chmod(wantedDirectoryMode(stats, options));
    if (lacks.owner) await handle.chown(options.uid ?? -1, options.gid ?? -1);
  } catch (error) {
    throw volumeError(error, "make the target", options.directory);
  }
}

async function resolved(directory: string): Promise<string> {
  try {
    return await realpath(directory);
  } catch (error) {
    throw volumeError(error, "resolve the target", directory);
  }
}

async function refuseRootFilesystem(root: string, options: TargetOptions): Promise<void> {
  if (!options.processOne || options.allowRootFilesystem) return;
  const [target, top] = await Promise.all([stat(root), stat("/")]);
  if (target.dev !== top.dev) return;
  throw new CopyError(
    "volume",
    `no volume is mounted at ${root}: it is on the filesystem of / (--allow-root-filesystem)`,
  );
}

/** A copy sets a directory's attributes when it makes it; they must not lock it out of its own directory. */
function refuseClosedDirectories(options: TargetOptions): void {
  const identity = readIdentity();
  if (options.verb !== "copy" || !keepsUsOut(options, identity)) return;
  const owner = options.uid === undefined ? "" : ` of uid ${options.uid}`;
  const mode = options.dirMode.toString(8).padStart(4, "0");
  throw new CopyError("volume", `directories${owner} with mode ${mode} could not be filled by uid ${identity.uid}`);
}

function refuseWithoutTimes({ mtimeStepMs }: TargetAbilities, { mtime, directory }: TargetOptions): void {
  if (!mtime || mtimeStepMs !== undefined) return;
  throw new CopyError("volume", `modification times cannot be set on the target ${directory} (--no-mtime)`);
}

async function look(
  root: string,
): Promise<Pick<PreparedTarget, "foreignNames" | "hasStateDirectory"> & { probes: string[] }> {
  const foreignNames: string[] = [];
  const probes: string[] = [];
  try {
    for await (const { name } of await opendir(root)) {
      if (name.startsWith(probePrefix)) probes.push(name);
      else if (name !== lostAndFound && name !== stateDirectory) foreignNames.push(name);
      // A flat volume can have millions of entries; a few names are enough for a verdict.
      if (foreignNames.length === mostForeignNames) break;
    }
    const state = await lstat(`${root}/${stateDirectory}`).catch(() => undefined);
    return { foreignNames, hasStateDirectory: state !== undefined, probes };
  } catch (error) {
    throw await refusal(error, root);
  }
}

async function checkAccess(root: string): Promise<void> {
  try {
    await access(root, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw await refusal(error, root);
  }
}

/** Removes probes that are older than ours. To be called by whoever holds the lock of a target that began empty. */
export async function removeEarlierProbes(root: string, startedCtimeMs: number): Promise<void> {
  const names: string[] = [];
  try {
    for await (const { name } of await opendir(root)) if (name.startsWith(probePrefix)) names.push(name);
  } catch (error) {
    throw volumeError(error, "list", root);
  }
  await removeStaleProbes(root, names, startedCtimeMs + staleProbeMs);
}

async function removeStaleProbes(root: string, names: readonly string[], nowMs: number): Promise<void> {
  for (const name of names) {
    const stats = await lstat(`${root}/${name}`).catch(() => undefined);
    const stale = stats?.isFile() && stats.nlink === 1 && stats.ctimeMs < nowMs - staleProbeMs;
    if (stale) await unlink(`${root}/${name}`).catch(() => {});
  }
}
