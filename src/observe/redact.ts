/** Replaces secrets in a text by `[redacted]`. */
export type Redact = (text: string) => string;

const redacted = "[redacted]";

/** Shorter values would mangle ordinary words, and are no secrets. */
const shortestSecret = 4;

const assignments =
  /\b((?:x-oss-)?(?:signature|security-?token|access-?key-?secret)["']?(?:=|%3D|:\s*)["']?)[^\s&"',;\\]+/gi;
const authorizations = /\b(OSS\s+[\w.-]+:)[\w+/=]{20,}/g;
const webTokens = /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g;

/**
 * Redacts the values of `secrets` (asked at each call, so later credentials count), plain and percent-encoded, and what
 * looks like a signature, a security token or a web identity token. Secrets are kept out of texts where these are made;
 * this is the second line.
 */
export function createRedact(secrets: () => readonly string[]): Redact {
  return (text) => {
    let clean = text;
    const known = secrets().filter((secret) => secret.length >= shortestSecret);
    // Longest first: a secret that begins another one must not leave the rest of it.
    for (const secret of known.sort((a, b) => b.length - a.length)) {
      clean = clean.replaceAll(secret, redacted).replaceAll(encodeURIComponent(secret.toWellFormed()), redacted);
    }
    return clean
      .replace(assignments, `$1${redacted}`)
      .replace(authorizations, `$1${redacted}`)
      .replace(webTokens, redacted);
  };
}

/** Changes nothing. */
export const redactNothing: Redact = (text) => text;
