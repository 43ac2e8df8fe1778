/** What the emulator answers instead of success; `ec` is the diagnostic code, `details` further XML elements. */
export interface OssFailure {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly ec: string;
  readonly details?: Readonly<Record<string, string>>;
}

/** Refusal of a request, thrown anywhere below the router and rendered there. */
export class OssRefusal extends Error {
  override readonly name = "OssRefusal";
  readonly failure: OssFailure;

  constructor(failure: OssFailure) {
    super(`${failure.code}: ${failure.message}`);
    this.failure = failure;
  }
}

type Row = readonly [status: number, message: string, ec: string];

const table = {
  NoSuchBucket: [404, "The specified bucket does not exist.", "0015-00000101"],
  NoSuchKey: [404, "The specified key does not exist.", "0026-00000001"],
  SymlinkTargetNotExist: [404, "The symlink target object does not exist.", "0026-00000012"],
  InvalidTargetType: [400, "The symbolic's target file type is invalid.", "0026-00000011"],
  NotSymlink: [400, "The object is not symlink.", "0026-00000016"],
  AccessDenied: [403, "You have no right to access this object because of bucket acl.", "0003-00000001"],
  InvalidAccessKeyId: [403, "The OSS Access Key Id you provided does not exist in our records.", "0002-00000902"],
  SignatureDoesNotMatch: [
    403,
    "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    "0002-00000040",
  ],
  RequestTimeTooSkewed: [
    403,
    "The difference between the request time and the current time is too large.",
    "0002-00000504",
  ],
  SecurityTokenExpired: [403, "The security token you provided has expired.", "0002-00000069"],
  InvalidSecurityToken: [403, "The security token you provided is invalid.", "0002-00000061"],
  InvalidObjectState: [403, "The operation is not valid for the object's state", "0016-00000702"],
  SecondLevelDomainForbidden: [
    403,
    "The bucket you are attempting to access must be addressed using OSS third level domain.",
    "0048-00000103",
  ],
  InvalidArgument: [400, "The argument is invalid.", "0002-00000002"],
  InvalidDigest: [400, "The Content-MD5 you specified was invalid.", "0016-00000201"],
  InvalidRange: [416, "The requested range cannot be satisfied", "0026-00000005"],
  PreconditionFailed: [412, "At least one of the pre-conditions you specified did not hold.", "0026-00000031"],
  MethodNotAllowed: [405, "The specified method is not allowed against this resource.", "0000-00000405"],
  NotImplemented: [501, "A header you provided implies functionality that is not implemented.", "0000-00000501"],
  ServiceUnavailable: [503, "Please reduce your request rate.", "0004-00000503"],
  TotalQpsLimitExceeded: [503, "The total QPS exceeds the limit.", "0004-00000302"],
  DownloadTrafficRateLimitExceeded: [503, "The download traffic exceeds the limit.", "0004-00000304"],
  InternalError: [500, "We encountered an internal error. Please try again.", "0000-00000500"],
} as const satisfies Record<string, Row>;

/** Codes that the emulator knows the usual status and message of. */
export type OssCode = keyof typeof table;

const rows: Readonly<Record<string, Row>> = table;

/** The failure of that code, with another message, status or details where given. */
export function failureOf(code: string, changes: Partial<OssFailure> = {}): OssFailure {
  const [status, message, ec] = rows[code] ?? [500, code, "0000-00000500"];
  return { status, code, message, ec, ...changes };
}

/** Throws nothing: makes the refusal of that code, to be thrown. */
export function refuse(code: OssCode, changes: Partial<OssFailure> = {}): OssRefusal {
  return new OssRefusal(failureOf(code, changes));
}

/** The error document of the service. */
export function errorXml(failure: OssFailure, requestId: string, host: string): string {
  const fields = {
    Code: failure.code,
    Message: failure.message,
    RequestId: requestId,
    HostId: host,
    ...failure.details,
    EC: failure.ec,
    RecommendDoc: `https://api.aliyun.com/troubleshoot?q=${failure.ec}`,
  };
  const lines = Object.entries(fields).map(([name, value]) => `  <${name}>${escapeXml(value)}</${name}>\n`);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n${lines.join("")}</Error>\n`;
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Text as XML character data; control characters become references, which XML 1.0 readers may refuse. */
export function escapeXml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: keys may hold them
  return text.replace(/[&<>"\u0000-\u001f]/g, (char) => entities[char] ?? `&#${char.charCodeAt(0)};`);
}
