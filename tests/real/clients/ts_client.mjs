// The TypeScript SDKs: `node ts_client.mjs URL MODE`, run in .real/.
//
// MODE is v1 (the older SDK), or for the newer one its default, auto, or a revision to pin.
// The journey comes in on standard input; what was seen goes out on standard output.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

// This file lies outside of the folder that holds the packages, so they are looked up by hand.
const require = createRequire(`${process.cwd()}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));

const [url, mode] = process.argv.slice(2);
const journey = JSON.parse(await text(process.stdin));

async function connect() {
  const info = { name: "only1mcp-tests", version: "1" };
  if (mode === "v1") {
    const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = await load(
      "@modelcontextprotocol/sdk/client/streamableHttp.js",
    );
    const client = new Client(info);
    const transport = new StreamableHTTPClientTransport(new URL(url));
    await client.connect(transport);
    return [client, () => transport.protocolVersion];
  }
  const { Client, StreamableHTTPClientTransport } = await load("@modelcontextprotocol/client");
  const negotiation = { default: undefined, auto: { mode: "auto" } };
  const client = new Client(info, {
    versionNegotiation: mode in negotiation ? negotiation[mode] : { mode: { pin: mode } },
  });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  return [client, () => client.getNegotiatedProtocolVersion()];
}

async function drain(ask, key, name) {
  const names = [];
  let cursor;
  do {
    const page = await ask(cursor === undefined ? undefined : { cursor });
    names.push(...page[key].map((item) => item[name]));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return names;
}

async function inTurn(items, ask) {
  const answers = [];
  for (const item of items) answers.push(await ask(item));
  return answers;
}

const [client, version] = await connect();
const seen = {
  tools: await drain((p) => client.listTools(p), "tools", "name"),
  resources: await drain((p) => client.listResources(p), "resources", "uri"),
  templates: await drain(
    (p) => client.listResourceTemplates(p), "resourceTemplates", "uriTemplate",
  ),
  prompts: await drain((p) => client.listPrompts(p), "prompts", "name"),
  calls: await inTurn(journey.calls, (call) => client.callTool(call)),
  reads: await inTurn(
    journey.reads, async (uri) => (await client.readResource({ uri })).contents,
  ),
  got: await inTurn(
    journey.prompts, async (prompt) => (await client.getPrompt(prompt)).messages,
  ),
  completions: await inTurn(
    journey.completions, async (asked) => (await client.complete(asked)).completion.values,
  ),
  version: version(),
  server: client.getServerVersion()?.name,
};
await client.close();
process.stdout.write(JSON.stringify(seen));
