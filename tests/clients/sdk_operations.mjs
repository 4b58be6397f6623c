// What @continuedev/sdk gets from a Hub. Reads {modules, baseURL, apiKey, calls: [[operation, parameters], ...]} from
// standard input; each call becomes {value} (JSON of what the SDK returns) or {error: {name, status, body, message}}.
// The operation "from" is Continue.from(parameters), of which the assistant's config and the client's base URL are told.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { modules, baseURL, apiKey, calls } = JSON.parse(readFileSync(0, "utf8"));
const sdk = join(modules, "@continuedev", "sdk", "dist");
const { Continue } = await import(pathToFileURL(join(sdk, "src", "index.js")));
const { Configuration, DefaultApi } = await import(pathToFileURL(join(sdk, "api", "dist", "index.js")));
const api = new DefaultApi(new Configuration({ basePath: baseURL, accessToken: async () => apiKey }));

async function call(operation, parameters) {
  if (operation !== "from") {
    return await api[operation](parameters ?? undefined);
  }
  const { assistant, client } = await Continue.from({ apiKey, baseURL, ...parameters });
  return { config: assistant.config, baseURL: client.baseURL };
}

const results = [];
for (const [operation, parameters] of calls) {
  try {
    const value = await call(operation, parameters);
    results.push({ value: value === undefined ? "undefined" : value });
  } catch (error) {
    const { response } = error;
    results.push({
      error: {
        name: error.name,
        message: error.message,
        ...(response && { status: response.status, body: await response.json() }),
      },
    });
  }
}
process.stdout.write(JSON.stringify(results));
