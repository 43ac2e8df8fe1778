import { readFile, writeFile } from "node:fs/promises";
import { StsServer } from "../../emulator/sts.ts";
import type { CliResult } from "./cli.ts";
import { openScene, type Scene, type SceneOptions } from "./scene.ts";
import { leaksOf } from "./secrets.ts";

/** A pod whose service account may assume a role: OSS and STS over TLS, a token file, and the variables that ACK injects. */
export interface RrsaScene extends Scene {
  readonly sts: StsServer;
  readonly tokenFile: string;
  readonly env: Readonly<Record<string, string>>;
  /** Replaces the token as the kubelet does, at both ends. */
  rotate(token: string): Promise<void>;
  /** Security tokens that the service has seen. */
  tokensSeen(): readonly string[];
  /** Where a token of the service account or of a session came out. */
  leaks(result: CliResult): readonly string[];
}

export interface RrsaOptions extends SceneOptions {
  readonly lifetimeSeconds?: number;
}

export async function openRrsa({ lifetimeSeconds, ...options }: RrsaOptions = {}): Promise<RrsaScene> {
  const scene = await openScene({ tls: true, ...options });
  const sts = await StsServer.start({
    emulator: scene.emulator,
    ...(lifetimeSeconds === undefined ? {} : { lifetimeSeconds }),
  });
  const tokenFile = `${scene.scratch.path}/token`;
  const caFile = `${scene.scratch.path}/ca.pem`;
  const authorities = [scene.emulator.caFile ?? "", sts.caFile].map((file) => readFile(file, "utf8"));
  await writeFile(caFile, (await Promise.all(authorities)).join("\n"));
  const accountTokens: string[] = [];
  const rotate = async (token: string): Promise<void> => {
    accountTokens.push(token);
    sts.oidcToken = token;
    await writeFile(tokenFile, `${token}\n`);
  };
  await rotate("the-first-token-of-the-service-account");
  const tokensSeen = (): string[] => {
    const tokens = scene.emulator.requests.map(({ headers }) => String(headers["x-oss-security-token"] ?? ""));
    return [...new Set(tokens)].filter((token) => token !== "");
  };
  return {
    ...scene,
    sts,
    tokenFile,
    env: {
      NODE_EXTRA_CA_CERTS: caFile,
      ALIBABA_CLOUD_ROLE_ARN: sts.roleArn,
      ALIBABA_CLOUD_OIDC_PROVIDER_ARN: sts.oidcProviderArn,
      ALIBABA_CLOUD_OIDC_TOKEN_FILE: tokenFile,
      ALIBABA_CLOUD_STS_ENDPOINT: sts.endpoint,
    },
    rotate,
    tokensSeen,
    leaks: ({ stdout, stderr, report, terminationLog }) =>
      leaksOf(
        [stdout, stderr, JSON.stringify(report ?? ""), terminationLog ?? ""],
        [...accountTokens, ...tokensSeen().flatMap((token) => [token, encodeURIComponent(token)])],
      ),
    async [Symbol.asyncDispose]() {
      await sts[Symbol.asyncDispose]();
      await scene[Symbol.asyncDispose]();
    },
  };
}
