import { UndiciTransport } from "../../src/oss/http/undici-transport.ts";
import { describeTransport } from "./transport.ts";

describeTransport("undici transport", (options) => new UndiciTransport(options));
