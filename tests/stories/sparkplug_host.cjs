// A host of Eclipse Tahu's JavaScript. Argument: folder of node_modules. Standard input: a topic
// and a payload in hexadecimal a line, in the order of arrival; prints each as one line of JSON.
// Tahu's decoder reads a value by its data type, which births say and data leave out: this host
// keeps those of births, by node, device and alias, and writes them into data before it decodes.
const { createRequire } = require("node:module");
const load = createRequire(process.argv[2] + "/");
const { get } = load("sparkplug-payload");
const proto = load("sparkplug-payload/lib/sparkplugPayloadProto.js");
const { Payload } = (proto.default ?? proto).org.eclipse.tahu.protobuf;
const types = new Map();
const text = (_key, value) =>
  typeof value === "bigint" || value?.constructor?.name === "Long" ? Number(value) : value;

function typed(topic, bytes) {
  const payload = Payload.decode(bytes);
  const [, group, kind, edge, device] = topic.split("/");
  for (const metric of payload.metrics) {
    const key = [group, edge, device, metric.alias].join("/");
    if (kind.endsWith("BIRTH")) types.set(key, metric.datatype);
    else if (!metric.datatype && types.has(key)) metric.datatype = types.get(key);
  }
  return Payload.encode(payload).finish();
}

const lines = require("node:fs").readFileSync(0, "utf8").split("\n").filter(Boolean);
for (const line of lines) {
  const [topic, hex] = line.split("\t");
  const payload = get("spBv1.0").decodePayload(typed(topic, Buffer.from(hex, "hex")));
  const metrics = payload.metrics.map((m) => ({ ...m, alias: m.alias && Number(m.alias),
    timestamp: m.timestamp && Number(m.timestamp) }));
  console.log(JSON.stringify({ seq: payload.seq === undefined ? null : Number(payload.seq),
    timestamp: Number(payload.timestamp), uuid: payload.uuid, metrics }, text));
}
