import { SocketTransport } from "../../src/oss/http/socket-transport.ts";
import { UndiciTransport } from "../../src/oss/http/undici-transport.ts";
import { describeFailures } from "./transport-failures.ts";
import { describeRequests } from "./transport-requests.ts";
import { describeResponses } from "./transport-responses.ts";
import type { Make } from "./transport-setup.ts";

const transports: readonly (readonly [name: string, make: Make])[] = [
  ["undici transport", (options) => new UndiciTransport(options)],
  ["socket transport", (options) => new SocketTransport(options)],
];

for (const [name, make] of transports) {
  describeResponses(name, make);
  describeRequests(name, make);
  describeFailures(name, make);
}
