// The TypeScript SDKs: `node ts_errand.mjs MODE WAY URL-OR-COMMAND…`, run in .real/.
//
// MODE is v1 (the older SDK), or for the newer one its default or auto. WAY is sse, websocket or
// stdio. What was seen goes out on standard output.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// This file lies outside of the folder that holds the packages, so they are looked up by hand.
const require = createRequire(`${process.cwd()}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));

const [mode, way, target, ...args] = process.argv.slice(2);
const isV1 = mode === "v1";
const sdk = isV1 ? "@modelcontextprotocol/sdk/client" : "@modelcontextprotocol/client";
const { Client } = await load(isV1 ? `${sdk}/index.js` : sdk);
const FORM = { name: "Ada", username: "Ada", email: "ada@example.com", check: true };

async function transport() {
  if (way === "sse") {
    return new (await load(`${sdk}/sse.js`)).SSEClientTransport(new URL(target));
  }
  if (way === "websocket") {
    return new (await load(`${sdk}/websocket.js`)).WebSocketClientTransport(new URL(target));
  }
  const { StdioClientTransport } = await load(isV1 ? `${sdk}/stdio.js` : `${sdk}/stdio`);
  return new StdioClientTransport({ command: target, args, env: process.env });
}

// The older SDK names a message by its schema, the newer one by its method.
const schemas = isV1 ? await load("@modelcontextprotocol/sdk/types.js") : {};
const named = (schema, method) => (isV1 ? schemas[schema] : method);

const client = new Client(
  { name: "only1mcp-tests", version: "1" },
  {
    capabilities: { sampling: {}, elicitation: {}, roots: {} },
    ...(mode === "auto" ? { versionNegotiation: { mode: "auto" } } : {}),
  },
);
client.setRequestHandler(
  named("CreateMessageRequestSchema", "sampling/createMessage"),
  ({ params }) => {
    // It is a list in the newest revision, as the newer SDK reads it.
    const [first] = [params.messages[0].content].flat();
    return {
      role: "assistant", model: "parrot",
      content: { type: "text", text: `I hear: ${first.text}` },
    };
  },
);
client.setRequestHandler(
  named("ElicitRequestSchema", "elicitation/create"),
  () => ({ action: "accept", content: FORM }),
);
client.setRequestHandler(
  named("ListRootsRequestSchema", "roots/list"), () => ({ roots: [{ uri: "file:///errand" }] }),
);
const logged = [];
client.setNotificationHandler(
  named("LoggingMessageNotificationSchema", "notifications/message"),
  ({ params }) => void logged.push(params.data),
);
let change;
const changed = new Promise((resolve) => (change = resolve));
client.setNotificationHandler(
  named("ToolListChangedNotificationSchema", "notifications/tools/list_changed"), () => change(),
);

await client.connect(await transport());
const isModern = !isV1 && client.getNegotiatedProtocolVersion() === "2026-07-28";
const meta = isModern ? { _meta: { "io.modelcontextprotocol/logLevel": "info" } } : {};

async function call(name, values = {}, options = {}) {
  const params = { name, arguments: values, ...meta };
  const result = await (isV1
    ? client.callTool(params, undefined, options)
    : client.callTool(params, options));
  return result.content.at(-1).text;
}

async function leaveACall() {
  const leaving = new AbortController();
  const left = call(
    "everything__trigger-long-running-operation",
    { duration: 600, steps: 1200 },
    { signal: leaving.signal, onprogress: () => leaving.abort() },
  );
  await left.then(() => {}, () => {});
  return call("everything__echo", { message: "still" });
}

const progress = [];
const onprogress = ({ progress: done, total }) => void progress.push([done, total]);
const seen = {
  tools: (await client.listTools()).tools.map((tool) => tool.name),
  echo: await call("everything__echo", { message: "größe" }),
  said: await call("conf__test_tool_with_progress", {}, { onprogress }),
  logging: await call("conf__test_tool_with_logging"),
  sampled: await call("conf__test_sampling", { prompt: "one" }),
  elicited: await call("conf__test_elicitation", { message: "two" }),
  sampled_on_stdio: await call("everything__trigger-sampling-request", { prompt: "three" }),
  elicited_on_stdio: await call("everything__trigger-elicitation-request"),
  roots: await call("everything__get-roots-list"),
  progress,
  logged,
  cancelled: await leaveACall(),
};
if (isModern) await client.listen({ toolsListChanged: true });
await call("conf__test_trigger_tool_change");
await changed;
seen.changed = true;
seen.version = isV1 ? undefined : client.getNegotiatedProtocolVersion();
await client.close();
process.stdout.write(JSON.stringify(seen));
