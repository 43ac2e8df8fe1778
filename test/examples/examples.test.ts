/** What the schemas cannot say: that the examples fit our options, our exit codes, each other and their purpose. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { exitCodes } from "../../src/engine/exit-code.ts";
import { ConfigError } from "../../src/errors.ts";
import { makeScratch } from "../e2e/support/scratch.ts";
import {
  type Container,
  examples,
  folder,
  type KubernetesObject,
  names,
  objectOf,
  podsOf,
  workersOf,
} from "./files.ts";

const run = promisify(execFile);
const all = examples.flatMap(({ file, objects }) => objects.map((object) => ({ file, object })));
const workers = all.flatMap(({ file, object }) => workersOf(object).map((worker) => ({ file, object, worker })));

/** The problems and warnings of a worker's arguments. */
async function complaintsOf({ args = [] }: Container, env: Readonly<Record<string, string>> = {}) {
  try {
    const parsed = await parseConfig({
      argv: args,
      env,
      readText: () => Promise.reject(new Error("an example reads no file")),
      cgroup: { cpus: 1, memoryBytes: 512 * 2 ** 20 },
      workingDirectory: "/",
      isTerminal: false,
      isProcess1: true,
    });
    return parsed.kind === "run" ? parsed.config.warnings : [`${parsed.kind} instead of a run`];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe("each example", () => {
  test.each(workers)("$file: the arguments of $worker.args.0 are right", async ({ object, worker }) => {
    const indexed = object.spec?.completionMode === "Indexed";
    expect(await complaintsOf(worker, indexed ? { JOB_COMPLETION_INDEX: "7" } : {})).toEqual([]);
  });

  test.each(examples)("$file says at its head what it is for", ({ text }) => {
    expect(text).toMatch(/^# [A-Z].{20,}/);
    expect(text).not.toMatch(/:latest\b/);
  });

  test.each(examples)("$file mounts what is there, and writes where a volume is", ({ objects }) => {
    for (const object of objects) {
      for (const { containers, volumes } of podsOf(object)) {
        for (const { volumeMounts = [] } of containers) {
          for (const { name } of volumeMounts) expect(volumes).toContain(name);
        }
      }
      for (const { args = [], volumeMounts = [] } of workersOf(object)) {
        const target = args[0] === "copy" ? args[2] : args.find((arg) => arg.startsWith("--target="))?.slice(9);
        expect(volumeMounts.map(({ mountPath }) => mountPath)).toContain(target);
      }
    }
  });

  test("is in the index, and the index names no other", () => {
    const index = readFileSync(join(folder, "README.md"), "utf8");
    const linked = [...index.matchAll(/\]\(([^)#:]+)\)/g)].map(([, link = ""]) => link);
    for (const link of linked) expect(existsSync(join(folder, link)), link).toBe(true);
    expect(names.filter((name) => name !== "README.md" && !linked.includes(name))).toEqual([]);
  });
});

describe("the populator", () => {
  const populator = objectOf("ossvolumepopulator.yaml", "OSSVolumePopulator");
  const claim = objectOf("ossvolumepopulator.yaml", "PersistentVolumeClaim");
  const workflow = objectOf("ossvolumepopulator.yaml", "Workflow");
  const storageClass = objectOf("ossvolumepopulator.yaml", "StorageClass");
  const [{ ephemeral }] = workflow.spec.volumes;

  test("is what claim and workflow refer to", () => {
    const [apiGroup] = populator.apiVersion.split("/");
    const reference = { apiGroup, kind: populator.kind, name: populator.metadata.name };
    for (const { spec } of [claim, ephemeral.volumeClaimTemplate]) {
      expect(spec.dataSourceRef).toEqual(reference);
      expect(spec.storageClassName).toBe(storageClass.metadata.name);
    }
    for (const { metadata } of [claim, workflow]) expect(metadata.namespace).toBe(populator.metadata.namespace);
  });

  test("leaves no disk behind", () => {
    expect(storageClass).toMatchObject({ reclaimPolicy: "Delete" });
  });

  test("has its worker on serverless capacity that may be taken away, and the tasks on spot nodes", () => {
    expect(populator.spec.generic.labels).toMatchObject({
      "alibabacloud.com/acs": "true",
      "alibabacloud.com/compute-qos": "best-effort",
    });
    const [[key, value] = []] = Object.entries(workflow.spec.nodeSelector);
    expect(workflow.spec.tolerations).toEqual([expect.objectContaining({ key, value })]);
  });

  test("becomes the arguments of the pod", async () => {
    const [{ args } = { args: [] }] = workersOf(objectOf("populator-pod.yaml", "Pod"));
    const spec = args?.find((arg) => arg.startsWith("--spec="))?.slice("--spec=".length);
    expect(JSON.parse(spec ?? "")).toEqual(populator.spec);
  });

  test("becomes them by the controller's snippet, which compiles", async (context) => {
    const go = await run("go", ["version"]).catch(() => undefined);
    if (go === undefined) return context.skip("needs Go, to compile populator-args.go");
    const { args } = workersOf(objectOf("populator-pod.yaml", "Pod"))[0] ?? {};
    expect(await argumentsByGo(populator, false)).toEqual(args);
    const block = args?.map((arg) => arg.replace("/mnt/target", "/dev/block"));
    expect(await argumentsByGo(populator, true)).toEqual(block);
  }, 300_000);
});

/** What populator-args.go returns; the one function that it takes of Kubernetes stands in. */
async function argumentsByGo(populator: KubernetesObject, rawBlock: boolean): Promise<unknown> {
  await using scratch = await makeScratch();
  const library = "k8s.io/apimachinery";
  const files = {
    "go.mod": `module example\ngo 1.21\nrequire ${library} v0.0.0\nreplace ${library} => ./apimachinery\n`,
    "args.go": readFileSync(join(folder, "populator-args.go"), "utf8"),
    "main.go": `package main
import ("encoding/json"; "os"; "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured")
func main() {
	populator := &unstructured.Unstructured{}
	if err := json.NewDecoder(os.Stdin).Decode(&populator.Object); err != nil { panic(err) }
	args, err := populatorArgs(${rawBlock}, populator)
	if err != nil { panic(err) }
	json.NewEncoder(os.Stdout).Encode(args)
}
`,
    "apimachinery/go.mod": `module ${library}\ngo 1.21\n`,
    "apimachinery/pkg/apis/meta/v1/unstructured/unstructured.go": `package unstructured
type Unstructured struct{ Object map[string]interface{} }
func (u *Unstructured) GetName() string { return "" }
func NestedMap(object map[string]interface{}, field string) (map[string]interface{}, bool, error) {
	value, found := object[field].(map[string]interface{})
	return value, found, nil
}
`,
  };
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(scratch.path, name)), { recursive: true });
    await writeFile(join(scratch.path, name), text);
  }
  const env = { ...process.env, GOFLAGS: "-mod=mod", GOPROXY: "off", GOTOOLCHAIN: "local" };
  const options = { cwd: scratch.path, env };
  await run("go", ["build", "-o", "args", "."], options);
  const child = run(join(scratch.path, "args"), [], options);
  child.child.stdin?.end(JSON.stringify(populator));
  return JSON.parse((await child).stdout);
}

describe("exit codes", () => {
  const retried: readonly number[] = [exitCodes.passing, exitCodes.interrupted, exitCodes.terminated];
  const final = Object.values(exitCodes).filter((code) => code !== exitCodes.complete && !retried.includes(code));

  test.each([
    ["job.yaml", "FailJob"],
    ["indexed-job.yaml", "FailIndex"],
  ])("%s gives up for exactly those that no retry helps, and never for a disruption", (file, action) => {
    const job = objectOf(file, "Job");
    const { podFailurePolicy, template } = job.spec;
    const [disruption, codes] = podFailurePolicy.rules;
    expect(disruption).toEqual({ action: "Ignore", onPodConditions: [{ type: "DisruptionTarget" }] });
    expect(codes.action).toBe(action);
    expect(codes.onExitCodes).toEqual({
      containerName: workersOf(job)[0]?.name,
      operator: "In",
      values: final.toSorted((a, b) => a - b),
    });
    // Kubernetes takes a podFailurePolicy with this restart policy only.
    expect(template.spec.restartPolicy).toBe("Never");
  });

  test("argo-artifact.yaml tries again where it helps, and after a pod that was killed", () => {
    const { templates } = objectOf("argo-artifact.yaml", "Workflow").spec;
    const { expression } = templates.find((template: KubernetesObject) => template.retryStrategy)?.retryStrategy ?? {};
    const [, list = ""] = /^asInt\(lastRetry\.exitCode\) in \[(.*)\]$/.exec(expression) ?? [];
    const killed = 128 + 9;
    const wanted = [exitCodes.passing, killed, exitCodes.terminated];
    expect(list.split(", ").map(Number)).toEqual(wanted.toSorted((a, b) => a - b));
  });
});

test.each(["job.yaml", "indexed-job.yaml"])("%s keeps service meshes away, with sidecars and without", (file) => {
  const { labels, annotations } = objectOf(file, "Job").spec.template.metadata;
  expect(annotations).toEqual({ "sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled" });
  expect(labels).toMatchObject({ "istio.io/dataplane-mode": "none" });
});

test("the shards of the Indexed Job are as many as its pods, on a volume that all of them can mount", () => {
  const { spec } = objectOf("indexed-job.yaml", "Job");
  const claim = objectOf("indexed-job.yaml", "PersistentVolumeClaim");
  const [worker] = workersOf(objectOf("indexed-job.yaml", "Job"));
  expect(worker?.args).toContain(`--shard-count=${spec.completions}`);
  expect(spec.backoffLimitPerIndex).toBeGreaterThan(0);
  expect(claim.spec.accessModes).toEqual(["ReadWriteMany"]);
  expect(spec.template.spec.volumes[0].persistentVolumeClaim.claimName).toBe(claim.metadata.name);
});

test("the hardened pod meets the restricted pod security standard, and more", () => {
  const { spec } = objectOf("hardened-pod.yaml", "Pod");
  const [{ securityContext }] = spec.containers;
  expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
  expect(spec.securityContext.runAsUser).toBeGreaterThan(0);
  expect(securityContext).toEqual({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
  for (const forbidden of ["hostNetwork", "hostPID", "hostIPC"]) expect(spec).not.toHaveProperty(forbidden);
  const kinds = spec.volumes.map((volume: object) => Object.keys(volume).find((key) => key !== "name"));
  expect(kinds).toEqual(["persistentVolumeClaim"]);
});

test("the monitor finds the pods and the port of the Jobs", () => {
  const { selector, podMetricsEndpoints } = objectOf("monitoring.yaml", "PodMonitor").spec;
  const [{ port, path }] = podMetricsEndpoints;
  expect(path).toBe("/metrics");
  for (const file of ["job.yaml", "indexed-job.yaml"]) {
    const job = objectOf(file, "Job");
    const [worker] = workersOf(job);
    expect(job.spec.template.metadata.labels).toMatchObject(selector.matchLabels);
    const listening = worker?.ports?.find(({ name }) => name === port)?.containerPort;
    expect(worker?.args).toContain(`--metrics-listen=:${listening}`);
  }
});
