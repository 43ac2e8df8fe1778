import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { isIP } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A key pair for servers on this machine; the certificate is its own authority. Disposing removes the files. */
export interface Certificate extends AsyncDisposable {
  readonly keyPem: string;
  readonly certificatePem: string;
  /** For `NODE_EXTRA_CA_CERTS` and the like. */
  readonly caFile: string;
}

/** Makes a self-signed certificate with the openssl command, for localhost, 127.0.0.1, *.localhost and `names`. */
export async function makeCertificate(names: readonly string[] = []): Promise<Certificate> {
  const directory = await mkdtemp(join(tmpdir(), "oss-emulator-"));
  const keyFile = join(directory, "key.pem");
  const caFile = join(directory, "ca.pem");
  const all = new Set(["localhost", "127.0.0.1", "*.localhost", ...names]);
  const san = [...all].map((name) => `${isIP(name) === 0 ? "DNS" : "IP"}:${name}`).join(",");
  const dispose = () => rm(directory, { recursive: true, force: true });
  try {
    await run("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"],
      ...["-subj", "/CN=oss-emulator", "-addext", `subjectAltName=${san}`, "-keyout", keyFile, "-out", caFile],
    ]);
    const [keyPem, certificatePem] = await Promise.all([readFile(keyFile, "utf8"), readFile(caFile, "utf8")]);
    return { keyPem, certificatePem, caFile, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}
