import type { RunHost } from "./host.ts";

/** Proxies by scheme and the hosts that need none. */
export interface Proxies {
  readonly httpProxy: string | undefined;
  readonly httpsProxy: string | undefined;
  readonly noProxy: string | undefined;
}

/** The proxy variables in lower or upper case, as every other client takes them. */
export function proxiesOf(env: RunHost["env"]): Proxies {
  return {
    // An upper-case HTTP_PROXY may come from a request header in CGI programs (CVE-2016-5385); this is none.
    httpProxy: env.http_proxy ?? env.HTTP_PROXY,
    httpsProxy: env.https_proxy ?? env.HTTPS_PROXY,
    noProxy: env.no_proxy ?? env.NO_PROXY,
  };
}
