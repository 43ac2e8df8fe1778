import { expect, test } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { proxiesOf } from "../../src/run/proxies.ts";

test("lower-case variables win, and an empty one means no proxy", () => {
  const env = { http_proxy: "", HTTP_PROXY: "http://upper:1", HTTPS_PROXY: "https://upper:2", no_proxy: "a,.b" };
  expect(proxiesOf(env)).toEqual({ httpProxy: "", httpsProxy: "https://upper:2", noProxy: "a,.b" });
  expect(proxiesOf({})).toEqual({ httpProxy: undefined, httpsProxy: undefined, noProxy: undefined });
});

test("a proxy without a scheme is spoken to over HTTP", () => {
  expect(proxiesOf({ https_proxy: "user:pass@proxy.corp:3128" }).httpsProxy).toBe("http://user:pass@proxy.corp:3128");
  expect(proxiesOf({ http_proxy: "10.0.0.1:3128" }).httpProxy).toBe("http://10.0.0.1:3128");
});

test("what is no address of a proxy is named by its variable, all at once and without its value", () => {
  const run = () => proxiesOf({ http_proxy: "http://:geheim@", HTTPS_PROXY: "socks5://proxy:1080" });
  expect(run).toThrow(ConfigError);
  expect(run).toThrow("http_proxy must be an http or https URL of a proxy\nHTTPS_PROXY must be");
  expect(run).not.toThrow("geheim");
});
