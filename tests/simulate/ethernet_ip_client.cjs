// Reads assemblies with the npm package st-ethernet-ip, first without and then over a connection.
// Arguments: folder of node_modules, host, port, JSON list of instances. Prints a line of JSON for
// each answer: how it was asked, instance, attribute, status, data in hexadecimal.
const { createRequire } = require("node:module");
const [modules, host, port, instances] = process.argv.slice(2);
const load = createRequire(modules + "/");
load("st-ethernet-ip/dist/config").EIP_PORT = Number(port); // the package knows one port only
const { ENIP, CIP } = load("st-ethernet-ip/dist/enip");
const { build, parse, services } = CIP.MessageRouter;
const { LOGICAL } = CIP.EPATH.segments;
const { ConnectionManager: manager } = CIP;
const pathOf = (...numbers) => Buffer.concat(numbers.map((number, place) =>
  LOGICAL.build(LOGICAL.types[["ClassID", "InstanceID", "AttributeID"][place]], number)));

const device = new ENIP();
const ask = (message, connected = false) => new Promise((resolve) => {
  device.once(connected ? "SendUnitData Received" : "SendRRData Received", (items) => {
    const item = items.find(({ TypeID }) => TypeID === (connected ? 0xb1 : 0xb2)).data;
    resolve(parse(connected ? item.subarray(2) : item)); // a sequence number comes first
  });
  device.write_cip(message, connected);
});

async function readAll(connected) {
  for (const instance of JSON.parse(instances)) {
    for (const attribute of [3, 4]) {
      const path = pathOf(4, instance, attribute);
      const answer = await ask(build(services.GET_ATTRIBUTE_SINGLE, path, []), connected);
      console.log(JSON.stringify({ connected, instance, attribute,
        status: answer.generalStatusCode, data: answer.data.toString("hex") }));
    }
  }
}

async function main() {
  await device.connect(host, 5000);
  await readAll(false);
  const parameters = manager.build_connectionParameters(manager.owner.Exclusive,
    manager.connectionType.PointToPoint, manager.priority.Low, manager.fixedVar.Variable, 500);
  const route = Buffer.concat([Buffer.from([2]), pathOf(2, 1)]); // to the message router
  const open = Buffer.concat([manager.build_forwardOpen(10000, parameters), route]);
  const opened = await ask(build(services.FORWARD_OPEN, pathOf(6, 1), open));
  device.id_conn = opened.data.readUInt32LE(0);
  device.established_conn = true;
  await readAll(true);
  const close = Buffer.concat([manager.build_forwardClose(), route]);
  const closed = await ask(build(services.FORWARD_CLOSE, pathOf(6, 1), close));
  console.log(JSON.stringify({ opened: opened.generalStatusCode, closed: closed.generalStatusCode }));
}
main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
