/** What tests of credentials share: a home without credentials, a role, and how to ask for it. */
import { mkdir, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, vi } from "vitest";
import { CopyError } from "../../src/errors.ts";
import { type CredentialsChoice, credentialSource, type Environment } from "../../src/oss/credentials.ts";
import { testCertificate } from "../contract/transport-certificate.ts";
import { temporaryDirectory } from "./credentials-servers.ts";

export const never = new AbortController().signal;
export const sts = { ca: testCertificate };
export const unnamed: CredentialsChoice = { anonymous: false };
export const environmentKeys = {
  ALIBABA_CLOUD_ACCESS_KEY_ID: "env-id",
  ALIBABA_CLOUD_ACCESS_KEY_SECRET: "env-secret",
};

/** A directory for each test, with an empty `home`, which is $HOME, and a file `token`; gives paths in it. */
export function homeForEach(): { path: (name: string) => string } {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  beforeEach(async () => {
    directory = await temporaryDirectory();
    vi.stubEnv("HOME", directory.path("home"));
    await mkdir(directory.path("home"));
    await writeFile(directory.path("token"), "the-token\n");
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await directory[Symbol.asyncDispose]();
  });
  return { path: (name) => directory.path(name) };
}

/** Makes a role at a server of security tokens; without a file it is the one of `homeForEach`. */
export function roleFrom(home: ReturnType<typeof homeForEach>) {
  return (server: { port: number }, from: "options" | "spec" = "options", file = home.path("token")) =>
    ({
      roleArn: "acs:ram::1:role/r",
      oidcProviderArn: "acs:ram::1:oidc-provider/p",
      oidcTokenFile: file,
      stsEndpoint: `127.0.0.1:${server.port}`,
      from,
    }) as const;
}

export async function issue(choice: CredentialsChoice, env: Environment = {}) {
  return await credentialSource(choice, env, sts).issue(never);
}

export async function failure(running: Promise<unknown>): Promise<CopyError> {
  const error = await running.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof CopyError) return error;
  throw new Error(`expected a CopyError, got ${String(error)}`, { cause: error });
}
