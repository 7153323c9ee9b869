// A real client for test_mqtt_clients.py: prints one line of JSON per thing that happens.
// Arguments: folder of node_modules, URL, options as JSON, steps as JSON.
const { createRequire } = require("node:module");
const fs = require("node:fs");
const [, , modules, url, options, steps] = process.argv;
const mqtt = createRequire(modules + "/")("mqtt");
const settings = JSON.parse(options);
for (const name of ["ca", "cert", "key"]) {
  if (settings[name]) settings[name] = fs.readFileSync(settings[name]);
}
const say = (what, more) => console.log(JSON.stringify({ what, ...more }));

async function main() {
  const client = await mqtt.connectAsync(url, { protocolVersion: 4, reconnectPeriod: 0, ...settings });
  client.on("message", (topic, payload, packet) =>
    say("message", { topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain }));
  client.on("close", () => say("closed"));
  for (const [step, ...more] of JSON.parse(steps)) {
    const result = await client[step + "Async"](...more);
    say(step, { granted: Array.isArray(result) ? result : undefined });
  }
  setTimeout(() => client.end(), 300);
}
main().catch((error) => say("error", { message: error.message, code: error.code }));
