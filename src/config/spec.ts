import type { Document, LineCounter, YAMLParseError } from "yaml";
import { quote } from "./kinds.ts";
import { suggestion } from "./names.ts";
import {
  type Field,
  fieldAt,
  judgeNames,
  mapFields,
  numberOf,
  present,
  type SpecDocument,
  textOf,
  type Yaml,
} from "./spec-node.ts";
import type { Remarks, Text } from "./texts.ts";

/** What a spec says; texts are not judged yet. */
export interface Spec {
  readonly bucket: Text | undefined;
  readonly region: Text | undefined;
  readonly endpoint: Text | undefined;
  readonly path: Text | undefined;
  readonly throughput: Text | undefined;
  readonly roleArn: Text | undefined;
  readonly oidcProviderArn: Text | undefined;
}

type Fields = ReadonlyMap<string, Field>;

const apiVersion = "storage.alibabacloud.com/v1beta1";
const kind = "OSSVolumePopulator";
const objectFields = ["apiVersion", "kind", "metadata", "spec", "status"];
const specFields = ["bucket", "region", "endpoint", "path", "mode", "generic", "throughput"];
const genericFields = ["labels", "rrsaConfigs", "throughput"];
const roleFields = ["roleArn", "oidcProviderArn"];

// An object in Kubernetes is at most 1.5 MiB; a spec is a few hundred bytes.
const maxLength = 256 * 1024;
const maxSyntaxProblems = 5;
const maxSentenceChars = 200;

/**
 * Reads a whole `OSSVolumePopulator` object, or just its `spec`, from YAML or JSON. Undefined when it cannot be used at
 * all; everything that is wrong is a problem with the field, line and column. `label` names where the text came from.
 */
export async function parseSpec(text: string, label: string, remarks: Remarks): Promise<Spec | undefined> {
  if (text.length > maxLength) {
    remarks.problems.push(`${label}: a spec of ${text.length} characters is too long, at most ${maxLength}`);
    return undefined;
  }
  const document = await parseDocument(text, label, remarks);
  if (document === undefined) return undefined;
  const root = document.document.contents;
  if (!document.yaml.isMap(root)) {
    remarks.problems.push(`${label}: a spec is a map of fields such as bucket and path, not a list or a single value`);
    return undefined;
  }
  const whole = ["apiVersion", "kind", "spec"].some((name) => root.has(name));
  if (!whole) return readSpec(document, fieldAt(document, root, "spec"));
  const spec = specOfObject(document, optionalFields(document, fieldAt(document, root, "")), label);
  return spec === undefined ? undefined : readSpec(document, spec);
}

async function parseDocument(text: string, label: string, remarks: Remarks): Promise<SpecDocument | undefined> {
  const yaml = await import("yaml");
  const lines = new yaml.LineCounter();
  const parsed = parseAll(yaml, text, lines);
  if (parsed === undefined) {
    remarks.problems.push(`${label}: nested too deeply`);
    return undefined;
  }
  const documents = parsed.filter(
    ({ contents, errors }) =>
      errors.length > 0 || !(contents === null || (yaml.isScalar(contents) && contents.value === null)),
  );
  const errors = documents.flatMap((document) => document.errors);
  if (errors.length > 0) {
    const sentences = errors.map((error) => syntaxProblem(error, lines, label));
    remarks.problems.push(...[...new Set(sentences)].slice(0, maxSyntaxProblems));
    return undefined;
  }
  const [document, second] = documents;
  if (document === undefined) remarks.problems.push(`${label}: the spec is empty`);
  else if (second !== undefined) {
    const { line } = lines.linePos(second.range?.[0] ?? 0);
    remarks.problems.push(`${label}: one document is expected, another one begins at line ${line}`);
  } else return { yaml, document, lines, remarks };
  return undefined;
}

/** Undefined when the text is nested so deeply that the parser, which recurses, runs out of stack. */
function parseAll(yaml: Yaml, text: string, lineCounter: LineCounter): readonly Document[] | undefined {
  try {
    // Pretty errors would quote the text, in which someone may have put a secret.
    return [...yaml.parseAllDocuments(text, { lineCounter, prettyErrors: false, logLevel: "silent" })];
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function syntaxProblem(error: YAMLParseError, lines: LineCounter, label: string): string {
  const { line, col } = lines.linePos(error.pos[0]);
  // What it recurses through in its second pass it reports as an error of the text.
  const isDeep = error.message.startsWith("Maximum call stack");
  // Behind a colon it quotes what it stumbled over, however long, and somebody may have put a secret there.
  const [sentence = ""] = error.message.split(": ", 1);
  const message = isDeep ? "nested too deeply" : sentence.slice(0, maxSentenceChars);
  return `${label} (line ${line}, column ${col}): ${message}`;
}

function specOfObject(document: SpecDocument, fields: Fields, label: string): Field | undefined {
  const { problems } = document.remarks;
  judgeNames(fields, objectFields, problems);
  const expected = { apiVersion, kind };
  for (const [name, value] of Object.entries(expected)) {
    const field = optionalText(document, fields, name);
    if (field !== undefined && !field.refused && field.text !== value) {
      problems.push(`${field.label} must be ${value}, got ${quote(field.text)}`);
    }
  }
  const spec = present(document, fields, "spec");
  if (spec === undefined) problems.push(`${label}: spec is missing from the object`);
  return spec;
}

function readSpec(document: SpecDocument, root: Field): Spec | undefined {
  const fields = mapFields(document, root);
  if (fields === undefined) return undefined;
  judgeNames(fields, specFields, document.remarks.problems);
  judgeMode(document, fields);
  const generic = readGeneric(document, present(document, fields, "generic"));
  const text = (name: string) => optionalText(document, fields, name);
  return {
    bucket: text("bucket"),
    region: text("region"),
    endpoint: text("endpoint"),
    path: text("path"),
    throughput: readThroughput(document, fields, generic),
    ...readRole(document, present(document, generic, "rrsaConfigs")),
  };
}

function judgeMode(document: SpecDocument, fields: Fields): void {
  const mode = optionalText(document, fields, "mode");
  if (mode === undefined || mode.refused || mode.text === "generic") return;
  if (mode.text === "bmcpfs-dataflow") {
    document.remarks.problems.push(
      `${mode.label} is bmcpfs-dataflow, which moves the data inside CPFS for Lingjun without a worker pod; this program copies through a pod and serves mode generic only`,
    );
    return;
  }
  document.remarks.problems.push(
    `${mode.label} must be generic, got ${quote(mode.text)}${suggestion(mode.text, ["generic"])}`,
  );
}

function readGeneric(document: SpecDocument, field: Field | undefined): Fields {
  const fields = optionalFields(document, field);
  judgeNames(fields, genericFields, document.remarks.warnings, " and is ignored");
  // The labels are on our pod already; here only their form is checked.
  for (const label of optionalFields(document, present(document, fields, "labels")).values()) textOf(document, label);
  return fields;
}

function readRole(document: SpecDocument, field: Field | undefined): Pick<Spec, "roleArn" | "oidcProviderArn"> {
  const fields = optionalFields(document, field);
  judgeNames(fields, roleFields, document.remarks.warnings, " and is ignored");
  return {
    roleArn: optionalText(document, fields, "roleArn"),
    oidcProviderArn: optionalText(document, fields, "oidcProviderArn"),
  };
}

function readThroughput(document: SpecDocument, fields: Fields, generic: Fields): Text | undefined {
  const [outer, inner] = [fields, generic].map((place) => {
    const field = present(document, place, "throughput");
    return field === undefined ? undefined : numberOf(document, field);
  });
  if (outer === undefined || inner === undefined) return outer ?? inner;
  if (outer.refused || inner.refused || outer.text === inner.text) return outer;
  document.remarks.problems.push(`${outer.label} is ${outer.text}, but ${inner.label} is ${inner.text}; give one`);
  return { ...outer, refused: true };
}

function optionalText(document: SpecDocument, fields: Fields, name: string): Text | undefined {
  const field = present(document, fields, name);
  return field === undefined ? undefined : textOf(document, field);
}

function optionalFields(document: SpecDocument, field: Field | undefined): Fields {
  return (field === undefined ? undefined : mapFields(document, field)) ?? new Map();
}
