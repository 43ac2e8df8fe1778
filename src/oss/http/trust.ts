/** Whom TLS connections trust. A module of its own: plain HTTP need not load TLS. */
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";

/** Trust in the usual certificates and `ca`; undefined without `ca`, where Node's own context is cheaper. */
export function trust(ca: string | undefined): SecureContext | undefined {
  return ca === undefined ? undefined : createSecureContext({ ca: trustedCertificates(ca) });
}

export function trustedCertificates(ca: string): string[] {
  return [...getCACertificates("default"), ca];
}
