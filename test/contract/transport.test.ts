import { SocketTransport } from "../../src/oss/http/socket-transport.ts";
import { UndiciTransport } from "../../src/oss/http/undici-transport.ts";
import { describeTransport } from "./transport.ts";

describeTransport("undici transport", (options) => new UndiciTransport(options));
describeTransport("socket transport", (options) => new SocketTransport(options));
