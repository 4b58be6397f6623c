// Continue's own parser and unrolling: a request a line on standard input, an answer a line on standard output.
//
//   {do: "yaml", text}                                    {ok: value} or {error: message}
//   {do: "unroll", id, text, registry, secrets, options}  {config, errors} or {error: message}
//   {do: "fields"}                                        [{path, words}]: all that a config's schema knows
//   {do: "schema", values}                                {ok: value} or {error: problems} for each
//   {do: "dotenv", text}                                  {ok: {NAME: value}}
//
// `registry` maps `owner/package@version` (or a file's path) to its text, `secrets` a full name to its result.
import { createInterface } from "node:readline";
import * as Config from "@continuedev/config-yaml";
import dotenv from "dotenv";
import * as YAML from "yaml";

const { log } = console;
for (const name of ["log", "warn", "error"]) console[name] = () => {};
process.removeAllListeners("warning");

const plain = (_, value) => (typeof value === "number" && !Number.isFinite(value) ? { "#": String(value) } : value);

async function unroll({ id, text, registry, secrets, options }) {
  const content = async (source) => {
    const name = source.uriType === "file" ? source.fileUri : Config.encodeFullSlug(source.fullSlug);
    if (!(name in registry)) throw new Error(`nothing of the name ${name}`);
    return registry[name] ?? undefined;
  };
  const given = { ...options };
  if (given.injectBlocks) given.injectBlocks = given.injectBlocks.map(Config.decodePackageIdentifier);
  for (const list of ["allowlistedBlocks", "blocklistedBlocks"])
    if (given[list]) given[list] = given[list].map(Config.decodePackageSlug);
  const asked = [];
  given.platformClient = {
    resolveFQSNs: async (fqsns) =>
      fqsns.map((fqsn) => {
        asked.push(Config.encodeFQSN(fqsn));
        const found = secrets[Config.encodeFQSN(fqsn)];
        return found ? { ...found, fqsn } : undefined;
      }),
  };
  const result = await Config.unrollAssistantFromContent(
    Config.decodePackageIdentifier(id), text, { getContent: content }, given);
  return { config: result.config, errors: result.errors ?? [], asked };
}

// Every place of a zod schema by its path (0 stands for any element, "*" for any key), with the words that it allows.
function* fields({ _def: def }, path = []) {
  const below = (schema, ...more) => fields(schema, [...path, ...more]);
  switch (def.typeName) {
    case "ZodOptional": case "ZodNullable": return yield* below(def.innerType);
    case "ZodEffects": return yield* below(def.schema);
    case "ZodObject":
      yield { path, words: [] };
      for (const [key, value] of Object.entries(def.shape())) yield* below(value, key);
      return;
    case "ZodArray": yield { path, words: [] }; return yield* below(def.type, 0);
    case "ZodTuple":
      yield { path, words: [] };
      for (const [index, value] of def.items.entries()) yield* below(value, index);
      return;
    case "ZodRecord": yield { path, words: [] }; return yield* below(def.valueType, "*");
    case "ZodUnion": for (const option of def.options) yield* below(option); return;
    case "ZodIntersection": yield* below(def.left); return yield* below(def.right);
    case "ZodEnum": return yield { path, words: def.values };
    case "ZodLiteral": return yield { path, words: [def.value] };
    case "ZodString": case "ZodNumber": case "ZodBoolean": case "ZodAny": return yield { path, words: [] };
  }
  throw new Error(`a schema of a kind that is new: ${def.typeName}`);
}

function checked(value) {
  const { success, data, error } = Config.configYamlSchema.safeParse(value);
  if (success) return { ok: data };
  return { error: error.issues.map(({ path, message }) => (path.length ? `${path.join(".")}: ${message}` : message)).join(", ") };
}

const answers = {
  yaml: ({ text }) => ({ ok: YAML.parse(text, { logLevel: "error" }) }),
  unroll,
  fields: () => [...fields(Config.configYamlSchema)],
  schema: ({ values }) => values.map(checked),
  dotenv: ({ text }) => ({ ok: dotenv.parse(text) }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let answer;
  try {
    answer = await answers[asked.do](asked);
  } catch (error) {
    answer = { error: String(error.message) };
  }
  log(JSON.stringify(answer, plain));
}
