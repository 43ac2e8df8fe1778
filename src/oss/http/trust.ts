/** What TLS connections trust and prefer. A module of its own: plain HTTP need not load TLS. */
import { createSecureContext, DEFAULT_CIPHERS, getCACertificates, type SecureContext } from "node:tls";

const fastest = "TLS_AES_128_GCM_SHA256";

/**
 * Trust in the usual certificates and `ca`, for all connections of a transport. AES with 128 bits comes before 256, as Go
 * and browsers have it: ten rounds instead of fourteen.
 */
export function secureContext(ca: string | undefined): SecureContext {
  const ciphers = fastestFirst(DEFAULT_CIPHERS.split(":")).join(":");
  // Without `ca`, Node's own store of certificates is shared and costs nothing.
  return createSecureContext(ca === undefined ? { ciphers } : { ciphers, ca: trustedCertificates(ca) });
}

export function trustedCertificates(ca: string): string[] {
  return [...getCACertificates("default"), ca];
}

/** A cipher that whoever runs Node has taken out stays out. */
function fastestFirst(ciphers: readonly string[]): readonly string[] {
  return ciphers.includes(fastest) ? [fastest, ...ciphers.filter((name) => name !== fastest)] : ciphers;
}
