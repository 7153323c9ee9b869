// Counts what the Catch node caught; the figure is in the sidebar Context Data as well. Only the
// error goes on: a request that failed holds the token in its headers.
const { message, source } = msg.error;
const errors = (flow.get("errors") ?? 0) + 1;
flow.set("errors", errors);
node.status({ fill: "red", shape: "ring", text: `${errors}: ${message}`.slice(0, 120) });
return { payload: message, topic: source?.name || source?.type };
