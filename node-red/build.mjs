// Puts the code in functions/ into the flow: `npm run build`. What is in functions/ is what people
// read and review; the flow is what Node-RED reads. A test sees to it that they agree.
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const flow = new URL("flows/listen-only-mqtt-influx.json", import.meta.url);
const PARTS = { func: "message", initialize: "start", finalize: "stop" };

const nodes = JSON.parse(readFileSync(flow, "utf8"));
for (const node of nodes.filter(({ type }) => type === "function")) {
    const name = node.name.toLowerCase().replaceAll(" ", "-");
    for (const [property, part] of Object.entries(PARTS)) {
        const file = new URL(`functions/${name}.${part}.js`, import.meta.url);
        node[property] = existsSync(file) ? readFileSync(file, "utf8").trimEnd() : "";
    }
}
writeFileSync(flow, `${JSON.stringify(nodes, null, 4)}\n`);
