import type { SourceConfig } from "./config.ts";
import { variableOf } from "./names.ts";
import type { Settings } from "./settings.ts";
import { shardConfig } from "./shard.ts";
import { type Endpoint, hostWithoutBucket, isAddress, regionOfHost } from "./source-kinds.ts";
import type { Environment } from "./texts.ts";

const nowhere: Endpoint = { scheme: "https", host: "", port: 443 };

/** What to read, and from where. After a problem its fields may stand in for what is not known. */
export function sourceConfig(settings: Settings, env: Environment, problems: string[]): SourceConfig {
  const bucket = settings.get("bucket");
  if (bucket === undefined && !settings.broken("bucket")) {
    problems.push(`the bucket is missing: give --bucket, ${variableOf("bucket")} or spec.bucket`);
  }
  return {
    bucket: bucket ?? "",
    path: settings.get("path") ?? "",
    ...place(settings, problems),
    addressing: settings.get("addressing"),
    signature: settings.get("signature"),
    include: settings.get("include") ?? [],
    exclude: settings.get("exclude") ?? [],
    filesFrom: settings.get("files-from"),
    allowEmpty: settings.get("allow-empty"),
    shard: shardConfig(settings, env, problems),
    caFile: settings.get("ca-file"),
    transport: settings.get("transport"),
  };
}

function place(settings: Settings, problems: string[]): Pick<SourceConfig, "region" | "endpoint"> {
  const given = endpointOf(settings);
  const endpoint = internalWins(settings, problems) ? undefined : given;
  const region = regionOf(settings, given, problems);
  // A bucket that is not known could not be taken off the endpoint.
  const unsure =
    settings.broken("region") ||
    settings.broken("endpoint") ||
    (given !== undefined && settings.get("bucket") === undefined);
  const unsigned = settings.get("anonymous") || settings.get("signature") === "v1";
  if (region === undefined && !unsure && (endpoint === undefined || !unsigned)) {
    problems.push(
      `the region is missing: give --region, ${variableOf("region")}, spec.region, or an endpoint that contains it, such as oss-cn-hangzhou.aliyuncs.com${
        endpoint === undefined ? "" : " (--signature v1 signs without one)"
      }`,
    );
  }
  judgeAddressing(settings, endpoint, problems);
  if (endpoint !== undefined) return { region, endpoint };
  const suffix = settings.get("internal") ? "-internal" : "";
  return { region, endpoint: { ...nowhere, host: `oss-${region}${suffix}.aliyuncs.com` } };
}

/** The endpoint as given, without the bucket; a bound domain may well begin with the bucket's name. */
function endpointOf(settings: Settings): Endpoint | undefined {
  const endpoint = settings.get("endpoint");
  const bucket = settings.get("bucket");
  if (endpoint === undefined || bucket === undefined || settings.get("addressing") === "cname") return endpoint;
  return { ...endpoint, host: hostWithoutBucket(endpoint.host, bucket) };
}

/** `--internal` beats the endpoint of the spec, as options do, but not one that was given beside it. */
function internalWins(settings: Settings, problems: string[]): boolean {
  if (!settings.get("internal")) return false;
  const from = settings.from("endpoint");
  if (from !== undefined && from !== "spec") {
    problems.push(
      `${settings.label("internal")} and ${settings.label("endpoint")} contradict each other; give one of them`,
    );
  }
  return from !== undefined;
}

function regionOf(settings: Settings, endpoint: Endpoint | undefined, problems: string[]): string | undefined {
  const given = settings.get("region");
  const read = endpoint === undefined ? undefined : regionOfHost(endpoint.host);
  if (given !== undefined && read !== undefined && given !== read) {
    problems.push(
      `${settings.label("region")} is ${given}, but ${settings.label("endpoint")} names the region ${read}`,
    );
  }
  return given ?? read;
}

function judgeAddressing(settings: Settings, endpoint: Endpoint | undefined, problems: string[]): void {
  const addressing = settings.get("addressing");
  if (addressing === "cname" && endpoint === undefined && !settings.broken("endpoint")) {
    problems.push(`${settings.label("addressing")} cname needs --endpoint, the domain that is bound to the bucket`);
  }
  if (addressing === "virtual" && endpoint !== undefined && isAddress(endpoint.host)) {
    problems.push(`${settings.label("addressing")} virtual needs a host name, but the endpoint is an IP address`);
  }
}
