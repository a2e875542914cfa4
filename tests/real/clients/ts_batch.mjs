// Sends a batch with the older TypeScript SDK's transport: `node ts_batch.mjs URL`, run in .real/.
//
// No SDK sends batches of its own accord, but this transport takes them. What came back goes out on
// standard output.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.cwd()}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { StreamableHTTPClientTransport } = await load(
  "@modelcontextprotocol/sdk/client/streamableHttp.js",
);

const transport = new StreamableHTTPClientTransport(new URL(process.argv[2]));
const heard = [];
let wake = () => {};
transport.onmessage = (message) => {
  heard.push(message);
  wake();
};
const until = async (check) => {
  while (!check()) await new Promise((resolve) => (wake = resolve));
};
const answered = (id) => heard.some((message) => message.id === id);
const request = (id, method, params) => ({ jsonrpc: "2.0", id, method, params });
const call = (id, name, args, meta) =>
  request(id, "tools/call", { name, arguments: args, _meta: meta });

await transport.start();
await transport.send(
  request("hello", "initialize", {
    protocolVersion: "2025-03-26",
    capabilities: {},
    clientInfo: { name: "only1mcp-tests", version: "1" },
  }),
);
await until(() => answered("hello"));
await transport.send({ jsonrpc: "2.0", method: "notifications/initialized" });
const plain = ["a", "b", "c"].map((id) => call(id, "everything__echo", { message: id }));
await transport.send([...plain, request("p", "ping")]);
await until(() => ["a", "b", "c", "p"].every(answered));
const long = "everything__trigger-long-running-operation";
const work = { duration: 0.2, steps: 2 };
await transport.send([
  call("d", long, work, { progressToken: "mine" }),
  call("e", "everything__echo", { message: "e" }),
]);
await until(() => answered("d") && answered("e"));
await transport.terminateSession();
await transport.close();
console.log(JSON.stringify(heard));
