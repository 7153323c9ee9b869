// How many messages each device has sent; `seq` counts them.
globalThis.sent = new Map();
