import { once } from "node:events";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Certificate } from "../emulator/certificate.ts";

export interface Recorded {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly authorization: string | undefined;
  readonly body: string;
}

/** A server that keeps what it is sent, such as a Pushgateway or the port of a sidecar. */
export interface HttpRecorder extends AsyncDisposable {
  readonly received: Recorded[];
  readonly port: number;
  /** `http://127.0.0.1:PORT`, or `https://…` */
  readonly url: string;
}

/**
 * `answer` is given each request's response once its body is there; without it every answer is an empty 200. With a
 * certificate it speaks TLS.
 */
export async function recordHttp(
  answer: (response: ServerResponse) => unknown = (response) => response.end(),
  certificate?: Certificate,
): Promise<HttpRecorder> {
  const received: Recorded[] = [];
  const listener: RequestListener = (request, response) => {
    const { method, url, headers } = request;
    void text(request).then((body) => {
      received.push({ method, url, authorization: headers.authorization, body });
      answer(response);
    });
  };
  const keys = certificate && { key: certificate.keyPem, cert: certificate.certificatePem };
  const server = keys ? createTlsServer(keys, listener) : createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // listening on TCP
  return {
    received,
    port,
    url: `http${keys ? "s" : ""}://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}
