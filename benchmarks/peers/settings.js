// Node-RED as a measured peer: one flow, no editor, no log but errors.
module.exports = {
  flowFile: process.env.BENCH_FLOWS,
  credentialSecret: false,
  nodesDir: [],
  uiHost: "127.0.0.1",
  uiPort: Number(process.env.BENCH_UI_PORT),
  httpAdminRoot: false,
  diagnostics: { enabled: false, ui: false },
  runtimeState: { enabled: false, ui: false },
  telemetry: { enabled: false, updateNotification: false },
  logging: { console: { level: "error", metrics: false, audit: false } },
};
