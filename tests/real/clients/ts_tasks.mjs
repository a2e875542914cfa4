// The older TypeScript SDK and tasks of 2025-11-25: `node ts_tasks.mjs URL TOOL`, run in .real/.
//
// It calls the tool as a task whose question it answers, then a second time, to cancel that one.
// What was seen goes out on standard output.

import { createRequire } from "node:module";
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";

const PATIENCE_MS = 20_000;

// This file lies outside of the folder that holds the packages, so they are looked up by hand.
const require = createRequire(`${process.cwd()}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));

const [url, tool] = process.argv.slice(2);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load(
  "@modelcontextprotocol/sdk/client/streamableHttp.js",
);
const { ElicitRequestSchema, TaskStatusNotificationSchema } = await load(
  "@modelcontextprotocol/sdk/types.js",
);

const seen = { asked: [], told: [], steps: [] };
const client = new Client(
  { name: "only1mcp-tests", version: "1" },
  { capabilities: { elicitation: {} } },
);
client.setRequestHandler(ElicitRequestSchema, async (request) => {
  seen.asked.push(request.params);
  return { action: "accept", content: { interpretation: "historical" } };
});
client.setNotificationHandler(TaskStatusNotificationSchema, async (notification) => {
  seen.told.push(notification.params);
});
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
seen.capability = client.getServerCapabilities().tasks;
await client.listTools();

const tasks = client.experimental.tasks;
const call = { name: tool, arguments: { topic: "x", ambiguous: true } };
for await (const message of tasks.callToolStream(call)) {
  seen.steps.push(message.type === "error" ? { error: String(message.error) } : message);
}
seen.finished = seen.steps[0].task?.taskId;
for await (const message of tasks.callToolStream(call)) {
  seen.cancelled = message.task.taskId;
  break;
}
seen.listed = (await tasks.listTasks()).tasks.map((task) => task.taskId);
seen.end = await tasks.cancelTask(seen.cancelled);
const isTold = () =>
  seen.told.some((task) => task.taskId === seen.finished && task.status === "completed");
for (const deadline = Date.now() + PATIENCE_MS; !isTold() && Date.now() < deadline; ) {
  await setTimeout(20);
}
await client.close();
process.stdout.write(JSON.stringify(seen));
