import { describe, expect, test } from "vitest";
import { parseSpec } from "../../src/config/spec.ts";
import { blocks } from "../readme/blocks.ts";
import { examples, type KubernetesObject, objectsOf } from "./files.ts";
import { schemaProblems } from "./schema.ts";

const readmeObjects = blocks.filter(({ language }) => language === "yaml").flatMap(({ text }) => objectsOf(text));
const named = [
  ...examples.flatMap(({ file, objects }) => objects.map((object) => [`${file}: ${object.kind}`, object] as const)),
  ...readmeObjects.map((object) => [`the README: ${object.kind}`, object] as const),
];

/** OSSVolumePopulator has no public schema: what reads it here is what reads it in the worker. */
async function problemsOf(object: KubernetesObject): Promise<readonly string[]> {
  if (object.kind !== "OSSVolumePopulator") return schemaProblems(object);
  const remarks = { problems: [], warnings: [] };
  await parseSpec(JSON.stringify(object), "the object", remarks);
  return [...remarks.problems, ...remarks.warnings];
}

describe("by the schemas of Kubernetes, Argo and the Prometheus operator", () => {
  test.each(named)("%s has no wrong and no unknown field", async (_, object) => {
    expect(await problemsOf(object)).toEqual([]);
  });

  test("the kinds that people need are there", () => {
    const kinds = new Set(examples.flatMap(({ objects }) => objects.map(({ kind }) => kind)));
    const wanted = ["Job", "OSSVolumePopulator", "PersistentVolumeClaim", "Pod", "PodMonitor", "PrometheusRule"];
    for (const kind of [...wanted, "StorageClass", "Workflow"]) expect([...kinds]).toContain(kind);
  });
});

describe("a mistake in an example is found", () => {
  const all = examples.flatMap(({ objects }) => objects);
  const [job, workflow, rule] = ["Job", "Workflow", "PrometheusRule"].map((wanted) =>
    all.find(({ kind }) => kind === wanted),
  );

  /** The object with `value` at a path, and the problems that it then has. */
  async function withChange(object: KubernetesObject | undefined, path: readonly (string | number)[], value: unknown) {
    const copy = structuredClone(object);
    const at = path.slice(0, -1).reduce<unknown>((part, name) => (part as Record<string, unknown>)[name], copy);
    (at as Record<string | number, unknown>)[path.at(-1) ?? ""] = value;
    return schemaProblems(copy ?? {});
  }

  const container = ["spec", "template", "spec", "containers", 0] as const;
  test.each([
    ["an unknown field", job, [...container, "arguments"], ["--x"], "/arguments is not in the schema"],
    ["a misspelt field deep inside", job, [...container, "resources", "limit"], {}, "/limit is not in the schema"],
    ["a value of the wrong type", job, [...container, "args"], "populate", "must be array"],
    ["a value that is not allowed", job, ["spec", "completionMode"], "Index", "allowed values"],
    ["a rule of a Job that is none", job, ["spec", "podFailurePolicy", "rules", 1, "onExitCode"], {}, "onExitCode"],
    ["an unknown field of a workflow", workflow, ["spec", "volume"], [], "/volume is not in the schema"],
    ["an unknown field of a step", workflow, ["spec", "templates", 0, "steps", 0, 0, "whit"], "x", "/whit is not"],
    ["an unknown field of an alert", rule, ["spec", "groups", 0, "rules", 0, "form"], "5m", "/form is not"],
  ])("%s", async (_, object, path, value, words) => {
    expect((await withChange(object, path, value)).join("; ")).toContain(words);
  });

  test("a kind that does not exist", async () => {
    const problems = await schemaProblems({ apiVersion: "batch/v2", kind: "Job" });
    expect(problems).toEqual(["there is no schema of batch/v2 Job"]);
  });
});
