/** What both transports are made from, and the names they use for the other end. */
import { isIP } from "node:net";
import type { TransportTimeouts } from "./transport.ts";

/** The one server, by scheme, host (a name or an address without brackets) and port, that a transport talks to. */
export interface Origin {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
}

export interface TransportOptions {
  readonly origin: Origin;
  /** Value of the Host header where it is not that of the origin, as with a bucket behind an address. */
  readonly hostHeader?: string | undefined;
  /** Most connections open at a time; further requests wait for one. */
  readonly connections: number;
  readonly timeouts: TransportTimeouts;
  /** PEM certificates that are trusted besides the usual ones. */
  readonly ca?: string | undefined;
  /** Time over which the minimum speed is judged, milliseconds; 30 s unless given. */
  readonly speedWindowMs?: number | undefined;
}

/** Longest time a connection is kept without a request, milliseconds. OSS publishes no figure; facts: other clients keep 30–50 s. */
export const maxIdleMs = 30_000;

/** Largest response head, bytes. */
export const maxHeadBytes = 64 * 1024;

/** `host:port`, an IPv6 address in brackets: for messages. */
export function address(origin: Origin): string {
  return `${bracketed(origin.host)}:${origin.port}`;
}

/** Value of the Host header of the origin itself: the scheme's own port is left out. */
export function authority(origin: Origin): string {
  const usual = origin.scheme === "https" ? 443 : 80;
  return origin.port === usual ? bracketed(origin.host) : address(origin);
}

/** Name for SNI and certificate checks; undefined for an address, which TLS does not allow as a server name. */
export function serverName(origin: Origin): string | undefined {
  return isIP(origin.host) === 0 ? origin.host : undefined;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
