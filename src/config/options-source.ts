import { choice, flag, integer, lines, text } from "./kinds.ts";
import { copy, every, type Option, populate, writing } from "./option.ts";
import {
  bucketName,
  endpointAddress,
  objectPath,
  oidcProviderArn,
  regionId,
  roleArn,
  stsHost,
} from "./source-kinds.ts";

/** As many pods as an Indexed Job can have. */
const mostShards = 1_000_000;

export const source = {
  spec: {
    group: "Source",
    verbs: every,
    kind: text("FILE|-|TEXT"),
    help: "OSSVolumePopulator object, or its spec, as YAML or JSON: a file, standard input (-), or text that begins with {. Options and variables win over it.",
  },
  bucket: { group: "Source", verbs: populate, kind: bucketName, help: "Bucket to read." },
  path: {
    group: "Source",
    verbs: populate,
    kind: objectPath,
    help: "Directory or object in the bucket; with a trailing slash the directory only.",
    defaultNote: "the whole bucket",
  },
  region: {
    group: "Source",
    verbs: every,
    kind: regionId,
    help: "Region of the bucket, such as cn-hangzhou.",
    defaultNote: "read from the endpoint",
  },
  endpoint: {
    group: "Source",
    verbs: every,
    kind: endpointAddress,
    help: "Where the service listens; HTTPS without a scheme.",
    defaultNote: "public endpoint of the region",
  },
  internal: {
    group: "Source",
    verbs: every,
    kind: flag,
    default: "false",
    help: "Use the region's VPC endpoint.",
  },
  addressing: {
    group: "Source",
    verbs: every,
    kind: choice("auto", "virtual", "path", "cname"),
    default: "auto",
    help: "Where the bucket stands: before the host (virtual), in the path, or nowhere as the host is bound to it (cname). auto is virtual, but path for IP addresses and localhost.",
  },
  signature: {
    group: "Source",
    verbs: every,
    kind: choice("v4", "v1"),
    default: "v4",
    help: "Signature version; v1 is for old gateways.",
  },
  include: {
    group: "Source",
    verbs: every,
    kind: lines("GLOB"),
    directoryOnly: true,
    help: "Take only what matches, by its path below the directory. Repeatable.",
    defaultNote: "everything",
  },
  exclude: {
    group: "Source",
    verbs: every,
    kind: lines("GLOB"),
    directoryOnly: true,
    help: "Leave out what matches, by its path below the directory. Repeatable.",
    defaultNote: "nothing",
  },
  "files-from": {
    group: "Source",
    verbs: every,
    kind: text("FILE|-"),
    directoryOnly: true,
    help: "Take the keys listed here, one a line, below the directory, instead of listing the bucket.",
  },
  "shard-index": {
    group: "Source",
    verbs: copy,
    kind: integer({ min: 0, max: mostShards - 1 }),
    help: "Which of the shards this process is, counted from 0.",
    defaultNote: "JOB_COMPLETION_INDEX",
  },
  "shard-count": {
    group: "Source",
    verbs: copy,
    kind: integer({ min: 1, max: mostShards }),
    help: "Share the objects among that many processes; each takes its own fixed share.",
  },
  "ca-file": {
    group: "Source",
    verbs: every,
    kind: text("FILE"),
    help: "PEM certificates that are trusted besides the usual ones, wherever we connect to.",
  },
  transport: {
    group: "Source",
    verbs: writing,
    kind: choice("socket", "undici"),
    default: "socket",
    help: "Client for object data; through a proxy it is always undici.",
  },
  "allow-empty": {
    group: "Source",
    verbs: every,
    kind: flag,
    default: "false",
    directoryOnly: true,
    help: "Nothing under the path is a success.",
  },
} as const satisfies Record<string, Option>;

export const credentials = {
  "role-arn": {
    group: "Credentials",
    verbs: every,
    kind: roleArn,
    help: "RAM role to assume with an OIDC token (RRSA).",
    defaultNote: "spec, then ALIBABA_CLOUD_ROLE_ARN",
  },
  "oidc-provider-arn": {
    group: "Credentials",
    verbs: every,
    kind: oidcProviderArn,
    help: "OIDC provider that the role trusts.",
    defaultNote: "spec, then ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
  },
  "oidc-token-file": {
    group: "Credentials",
    verbs: every,
    kind: text("FILE"),
    help: "File with the OIDC token.",
    defaultNote: "ALIBABA_CLOUD_OIDC_TOKEN_FILE, then where ACK mounts it",
  },
  "sts-endpoint": {
    group: "Credentials",
    verbs: every,
    kind: stsHost,
    help: "Host of STS, spoken to over HTTPS.",
    defaultNote: "ALIBABA_CLOUD_STS_ENDPOINT, then the public one",
  },
  anonymous: { group: "Credentials", verbs: every, kind: flag, default: "false", help: "Send unsigned requests." },
} as const satisfies Record<string, Option>;
