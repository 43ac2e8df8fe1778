import { ConfigError } from "../errors.ts";
import type { RunHost } from "./host.ts";

/** URLs of proxies by the scheme that they are for, and the hosts that need none. */
export interface Proxies {
  readonly httpProxy: string | undefined;
  readonly httpsProxy: string | undefined;
  readonly noProxy: string | undefined;
}

/**
 * The proxy variables in lower or upper case, as every other client takes them: a proxy without a scheme is spoken to over
 * HTTP. Throws ConfigError for what is no address of a proxy.
 */
export function proxiesOf(env: RunHost["env"]): Proxies {
  const problems: string[] = [];
  const proxyOf = (...names: readonly string[]): string | undefined => {
    const name = names.find((each) => env[each] !== undefined) ?? "";
    const text = env[name];
    if (!text) return text;
    const url = text.includes("://") ? text : `http://${text}`;
    // Without the value, which may hold a password.
    if (!/^https?:/i.test(url) || !URL.canParse(url)) problems.push(`${name} must be an http or https URL of a proxy`);
    return url;
  };
  const proxies = {
    // An upper-case HTTP_PROXY may come from a request header in CGI programs (CVE-2016-5385); this is none.
    httpProxy: proxyOf("http_proxy", "HTTP_PROXY"),
    httpsProxy: proxyOf("https_proxy", "HTTPS_PROXY"),
    noProxy: env.no_proxy ?? env.NO_PROXY,
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return proxies;
}
