// An edge node's messages as Eclipse Tahu's JavaScript encodes them. Argument: node_modules.
// Standard input: one message a line, as JSON; prints each payload in hexadecimal.
const { createRequire } = require("node:module");
const { get } = createRequire(process.argv[2] + "/")("sparkplug-payload");
const lines = require("node:fs").readFileSync(0, "utf8").split("\n").filter(Boolean);
for (const line of lines) {
  const encoded = get("spBv1.0").encodePayload(JSON.parse(line));
  console.log(Buffer.from(encoded).toString("hex"));
}
