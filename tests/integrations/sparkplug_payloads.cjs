// Decodes Sparkplug payloads with Eclipse Tahu's JavaScript. Argument: folder of node_modules.
// Standard input: one payload a line, in hexadecimal; prints each as one line of JSON.
const { createRequire } = require("node:module");
const { get } = createRequire(process.argv[2] + "/")("sparkplug-payload");
const text = (_key, value) =>
  typeof value === "bigint" || (value && value.constructor && value.constructor.name === "Long")
    ? Number(value) : value;
const lines = require("node:fs").readFileSync(0, "utf8").split("\n").filter(Boolean);
for (const line of lines) {
  const payload = get("spBv1.0").decodePayload(Buffer.from(line, "hex"));
  const metrics = payload.metrics.map((m) => ({ ...m, alias: m.alias && Number(m.alias),
    timestamp: m.timestamp && Number(m.timestamp) }));
  console.log(JSON.stringify({ seq: payload.seq === undefined ? null : Number(payload.seq),
    timestamp: Number(payload.timestamp), uuid: payload.uuid, metrics }, text));
}
