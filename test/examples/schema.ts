/** Validates Kubernetes objects against the schemas of the API, strictly: an unknown field is an error. */

/** Packages with the schemas of an API group; all others are those of Kubernetes itself. */
const packages: Readonly<Record<string, string>> = {
  "argoproj.io": "@kubernetes-models/argo-workflows",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
};

/** What is wrong with an object, a sentence for each problem. */
export async function schemaProblems(object: Readonly<Record<string, unknown>>): Promise<readonly string[]> {
  const { apiVersion, kind } = object;
  const form = kind === "Workflow" ? inGoTypes(object) : object;
  const model = await modelOf(String(apiVersion), String(kind));
  if (model === undefined) return [`there is no schema of ${apiVersion} ${kind}`];
  const read = new Set<string>();
  try {
    model.prototype.validate.call(watched(form, "", read));
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
  return leavesOf(form, "").flatMap((path) => (read.has(path) ? [] : [`${path} is not in the schema`]));
}

interface Model {
  readonly prototype: { readonly validate: () => void };
}

async function modelOf(apiVersion: string, kind: string): Promise<Model | undefined> {
  const [group = ""] = apiVersion.split("/");
  try {
    const module = await import(`${packages[group] ?? "kubernetes-models"}/${apiVersion}/${kind}`);
    return module[kind];
  } catch {
    return undefined;
  }
}

/**
 * The schemas come as compiled functions that pass over unknown fields. But they read each field that they know, so what
 * is left unread is unknown: this is the value, with a note of the path of whatever is read of it.
 */
function watched<T>(value: T, path: string, read: Set<string>): T {
  read.add(path);
  if (typeof value !== "object" || value === null) return value;
  return new Proxy(value, {
    get(target, name) {
      const inner: unknown = Reflect.get(target, name);
      return typeof name === "string" && Object.hasOwn(target, name) ? watched(inner, `${path}/${name}`, read) : inner;
    },
  });
}

/** The path of every field, also of those that hold others. */
function leavesOf(value: unknown, path: string): string[] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([name, inner]) => leavesOf(inner, `${path}/${name}`))];
}

/**
 * Argo's schemas are made from its Go types. There a group of parallel steps is an object with a list, where the YAML has
 * the list alone; each container has a name, and each claim its kind, which Argo adds by itself.
 */
function inGoTypes(workflow: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const copy = structuredClone(workflow) as { spec?: WorkflowSpec }; // what is otherwise, the schema finds
  const { templates = [], volumeClaimTemplates = [] } = copy.spec ?? {};
  for (const template of templates) {
    if (Array.isArray(template.steps)) template.steps = template.steps.map((group) => ({ steps: group }));
    if (template.container !== undefined) template.container = { name: "main", ...template.container };
  }
  const claim = { apiVersion: "v1", kind: "PersistentVolumeClaim" };
  for (const [index, each] of volumeClaimTemplates.entries()) volumeClaimTemplates[index] = { ...claim, ...each };
  return copy;
}

interface WorkflowSpec {
  readonly templates?: { steps?: unknown[]; container?: object }[];
  readonly volumeClaimTemplates?: object[];
}
