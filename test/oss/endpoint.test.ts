import { describe, expect, it } from "vitest";
import { type BucketLocation, bucketAddress } from "../../src/oss/endpoint.ts";

function address(
  host: string,
  addressing: BucketLocation["addressing"],
  port = 443,
  scheme: "http" | "https" = "https",
) {
  const {
    origin,
    host: name,
    pathPrefix,
  } = bucketAddress({ endpoint: { scheme, host, port }, addressing, bucket: "bkt" });
  return { connect: `${origin.scheme} ${origin.host} ${origin.port}`, host: name, pathPrefix };
}

describe("the address of a bucket", () => {
  it("is a subdomain of the service's endpoints", () => {
    const expected = {
      connect: "https bkt.oss-cn-x.aliyuncs.com 443",
      host: "bkt.oss-cn-x.aliyuncs.com",
      pathPrefix: "",
    };
    expect(address("oss-cn-x.aliyuncs.com", "auto")).toEqual(expected);
    expect(address("OSS-cn-x.aliyuncs.com", "virtual")).toEqual(expected);
  });

  it.each(["localhost", "oss.localhost", "127.0.0.1", "::1", "[::1]", "10.1.2.3"])("is a path of %s", (host) => {
    const { host: name, pathPrefix } = address(host, "auto");
    expect(pathPrefix).toBe("/bkt");
    expect(name).toBe(host === "::1" ? "[::1]" : host);
  });

  it("takes a name that only looks local for a public one", () => {
    expect(address("notlocalhost", "auto").pathPrefix).toBe("");
    expect(address("localhost.example.com", "auto").host).toBe("bkt.localhost.example.com");
  });

  it("is the custom domain itself with cname", () => {
    const expected = { connect: "https data.example.com 443", host: "data.example.com", pathPrefix: "" };
    expect(address("data.example.com", "cname")).toEqual(expected);
  });

  it("can be a path anywhere", () => {
    expect(address("gateway.example.com", "path", 80, "http")).toEqual({
      connect: "http gateway.example.com 80",
      host: "gateway.example.com",
      pathPrefix: "/bkt",
    });
  });

  it("connects to an IP address or localhost although the bucket is a subdomain", () => {
    const expected = { connect: "http 127.0.0.1 8080", host: "bkt.127.0.0.1:8080", pathPrefix: "" };
    expect(address("127.0.0.1", "virtual", 8080, "http")).toEqual(expected);
    expect(address("localhost", "virtual", 80, "http").connect).toBe("http localhost 80");
  });

  it("names a port that is not the scheme's own", () => {
    expect(address("h.example.com", "cname", 80).host).toBe("h.example.com:80");
    expect(address("::1", "auto", 9000, "http")).toEqual({
      connect: "http ::1 9000",
      host: "[::1]:9000",
      pathPrefix: "/bkt",
    });
  });
});
