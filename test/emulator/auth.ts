import { timingSafeEqual } from "node:crypto";
import { headerOf } from "./conditions.ts";
import { refuse } from "./errors.ts";
import {
  canonicalRequestV4,
  type Scope,
  type SignedRequest,
  signV1,
  signV4,
  stringToSignV1,
  stringToSignV4,
} from "./signature.ts";

/** An access key that the emulator accepts. */
export interface Credential {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  /** Present for STS credentials: requests must carry exactly this token. */
  readonly securityToken?: string;
  /** By the emulator's clock. */
  readonly expiresAtMs?: number;
  /** Operations that are allowed; all unless given. Others are refused with AccessDenied. */
  readonly allow?: readonly string[];
}

/** Requests further off than this are refused with RequestTimeTooSkewed. */
export const MAX_SKEW_MS = 15 * 60_000;

/** What a request is judged against. */
export interface AuthContext {
  readonly credentials: ReadonlyMap<string, Credential>;
  readonly region: string;
  readonly nowMs: number;
}

/** Checks V1 or V4 header signatures. The credential, or undefined for an unsigned request; throws refusals. */
export function authenticate(request: SignedRequest, context: AuthContext): Credential | undefined {
  const authorization = headerOf(request.headers, "authorization");
  if (authorization === undefined || authorization === "") return undefined;
  if (authorization.startsWith("OSS4-HMAC-SHA256 ")) return authenticateV4(request, authorization, context);
  if (authorization.startsWith("OSS ")) return authenticateV1(request, authorization, context);
  throw refuse("InvalidArgument", { message: "Unsupported authorization type.", ec: "0002-00000218" });
}

function authenticateV1(request: SignedRequest, authorization: string, context: AuthContext): Credential {
  const match = /^OSS ([^:\s]+):(\S+)$/.exec(authorization);
  if (match === null) throw malformed("Authorization header is invalid.");
  const [, accessKeyId = "", provided = ""] = match;
  // With x-oss-date the service reads the date from there, also in the line of the Date header.
  const date = headerOf(request.headers, "x-oss-date") ?? headerOf(request.headers, "date") ?? "";
  checkSkew(date, context.nowMs);
  const credential = findCredential(accessKeyId, request, context);
  const expected = signV1(request, credential.accessKeySecret, date);
  if (!sameText(provided, expected)) throw mismatch(accessKeyId, provided, stringToSignV1(request, date));
  return credential;
}

function authenticateV4(request: SignedRequest, authorization: string, context: AuthContext): Credential {
  const fields = parseFields(authorization.slice("OSS4-HMAC-SHA256 ".length));
  const parts = (fields.get("Credential") ?? "").split("/");
  const provided = fields.get("Signature") ?? "";
  const [accessKeyId = "", day = "", region = "", product = "", suffix = ""] = parts;
  if (parts.length !== 5 || suffix !== "aliyun_v4_request" || provided === "") {
    throw malformed("Invalid credential in Authorization header.");
  }
  checkScope({ date: day, region, product }, context.region);
  const date = headerOf(request.headers, "x-oss-date") ?? headerOf(request.headers, "date") ?? "";
  const sentMs = checkSkew(date, context.nowMs);
  if (basicIso(sentMs).slice(0, 8) !== day) throw malformed("Invalid signing date in Authorization header.");
  const additional = (fields.get("AdditionalHeaders") ?? "").split(";").filter((name) => name !== "");
  const credential = findCredential(accessKeyId, request, context);
  const scope = { date: day, region, product };
  const canonicalRequest = canonicalRequestV4(request, additional);
  const stringToSign = stringToSignV4(canonicalRequest, date, scope);
  const expected = signV4(stringToSign, credential.accessKeySecret, scope);
  if (!sameText(provided, expected)) throw mismatch(accessKeyId, provided, stringToSign, canonicalRequest);
  return credential;
}

/** `A=1,B=2` or `A=1, B=2`; values may hold `=`. */
function parseFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    if (at > 0) fields.set(part.slice(0, at).trim(), part.slice(at + 1).trim());
  }
  return fields;
}

function checkScope(scope: Scope, region: string): void {
  if (scope.product !== "oss") {
    throw malformed("Invalid signing product in Authorization header.", "0002-00000227");
  }
  if (scope.region !== region) throw malformed("Invalid signing region in Authorization header.", "0002-00000226");
}

function findCredential(accessKeyId: string, request: SignedRequest, context: AuthContext): Credential {
  const credential = context.credentials.get(accessKeyId);
  const token = headerOf(request.headers, "x-oss-security-token");
  if (credential === undefined) throw unknownKey(accessKeyId);
  if (token === undefined && credential.securityToken !== undefined) throw unknownKey(accessKeyId);
  if (token !== credential.securityToken) throw refuse("InvalidSecurityToken");
  if (credential.expiresAtMs !== undefined && context.nowMs >= credential.expiresAtMs) {
    throw refuse("SecurityTokenExpired");
  }
  return credential;
}

/** Milliseconds of an ISO basic (V4) or RFC 1123 (V1, and V4 without `x-oss-date`) date; throws if too far off. */
function checkSkew(date: string, nowMs: number): number {
  const iso = date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z");
  const sentMs = Date.parse(iso);
  if (Number.isNaN(sentMs)) {
    throw refuse("AccessDenied", { message: "OSS authentication requires a valid Date.", ec: "0002-00000502" });
  }
  if (Math.abs(sentMs - nowMs) > MAX_SKEW_MS) {
    throw refuse("RequestTimeTooSkewed", {
      details: {
        MaxAllowedSkewMilliseconds: String(MAX_SKEW_MS),
        RequestTime: new Date(sentMs).toISOString(),
        ServerTime: new Date(nowMs).toISOString(),
      },
    });
  }
  return sentMs;
}

function basicIso(timeMs: number): string {
  return new Date(timeMs).toISOString().replace(/[-:]|\.\d+/g, "");
}

function malformed(message: string, ec = "0002-00000225"): Error {
  return refuse("InvalidArgument", { message, ec });
}

function unknownKey(accessKeyId: string): Error {
  return refuse("InvalidAccessKeyId", { details: { OSSAccessKeyId: accessKeyId } });
}

function mismatch(accessKeyId: string, provided: string, stringToSign: string, canonicalRequest?: string): Error {
  return refuse("SignatureDoesNotMatch", {
    details: {
      OSSAccessKeyId: accessKeyId,
      SignatureProvided: provided,
      StringToSign: stringToSign,
      ...(canonicalRequest === undefined ? {} : { CanonicalRequest: canonicalRequest }),
    },
  });
}

function sameText(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}
