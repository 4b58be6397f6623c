// One streamed answer through @continuedev/sdk's own OpenAI client. Reads {modules, baseURL, apiKey, assistant, model}
// from standard input; prints {tokens: [[milliseconds since the request, text], ...]} or {status, message}.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { modules, baseURL, apiKey, assistant, model } = JSON.parse(readFileSync(0, "utf8"));
const { Continue } = await import(pathToFileURL(join(modules, "@continuedev", "sdk", "dist", "src", "index.js")));
const { client } = await Continue.from({ apiKey, baseURL, assistant });
const started = performance.now();
try {
  const messages = [{ role: "user", content: "hi" }];
  const stream = await client.chat.completions.create({ model, messages, stream: true }, { maxRetries: 0 });
  const tokens = [];
  for await (const chunk of stream) {
    const text = chunk.choices[0]?.delta?.content;
    if (text) tokens.push([performance.now() - started, text]);
  }
  process.stdout.write(JSON.stringify({ tokens }));
} catch (error) {
  process.stdout.write(JSON.stringify({ status: error.status, message: error.message }));
}
