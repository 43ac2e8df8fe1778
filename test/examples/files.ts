import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";

export const folder = fileURLToPath(new URL("../../examples/", import.meta.url));

/** A Kubernetes object, as far as it is the same for all kinds. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name?: string;
    readonly generateName?: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  // The schemas say what else there is; tests look into it where they must.
  // biome-ignore lint/suspicious/noExplicitAny: a spec has the shape of its kind
  readonly spec?: any;
  readonly [field: string]: unknown;
}

export interface Example {
  readonly file: string;
  readonly text: string;
  readonly objects: readonly KubernetesObject[];
}

export const names: readonly string[] = readdirSync(folder).toSorted();

/** Every YAML file of the examples. */
export const examples: readonly Example[] = names
  .filter((name) => name.endsWith(".yaml"))
  .map((file) => {
    const text = readFileSync(join(folder, file), "utf8");
    return { file, text, objects: objectsOf(text) };
  });

/** Throws an Error for what is no YAML. */
export function objectsOf(text: string): KubernetesObject[] {
  return parseAllDocuments(text, { strict: true, uniqueKeys: true }).map((document) => {
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined) throw problem;
    return document.toJS() as KubernetesObject; // the schema test judges it
  });
}

/** The first object of this kind in an example, or the one with a name. */
export function objectOf(file: string, kind: string, name?: string): KubernetesObject {
  const objects = examples.find((example) => example.file === file)?.objects ?? [];
  const object = objects.find((each) => each.kind === kind && (name === undefined || each.metadata.name === name));
  if (object === undefined) throw new Error(`${file} has no ${kind} ${name ?? ""}`);
  return object;
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  readonly [field: string]: unknown;
}

/** A pod as it stands in an object, itself or its template. */
export interface PodPart {
  readonly containers: readonly Container[];
  readonly volumes: readonly string[];
}

/** The pods that an object describes: its own, its template's, one for each of a workflow's templates. */
export function podsOf({ kind, spec }: KubernetesObject): PodPart[] {
  const volumes = (part: KubernetesObject["spec"]): string[] =>
    [...(part.volumes ?? []), ...(part.volumeClaimTemplates ?? [])].map(({ name, metadata }) => name ?? metadata.name);
  if (kind === "Pod") return [{ containers: spec.containers, volumes: volumes(spec) }];
  if (kind === "Job") return [{ containers: spec.template.spec.containers, volumes: volumes(spec.template.spec) }];
  if (kind !== "Workflow") return [];
  return spec.templates.flatMap((template: KubernetesObject["spec"]) => {
    const containers = [...(template.initContainers ?? []), ...(template.container ? [template.container] : [])];
    return containers.length === 0 ? [] : [{ containers, volumes: [...volumes(spec), ...volumes(template)] }];
  });
}

/** The containers of our image. */
export function workersOf(object: KubernetesObject): Container[] {
  const ours = /(^|\/)oss-populator(:|@|$)/;
  return podsOf(object).flatMap(({ containers }) => containers.filter(({ image }) => ours.test(image)));
}
