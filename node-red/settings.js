// Node-RED for this flow: the editor on this machine alone, nothing secret in here.
const { env } = process;

module.exports = {
    flowFile: "flows.json", // in the user directory; the repository's flow is imported into it
    flowFilePretty: true,
    // Encrypts what is typed into nodes. Unset, Node-RED makes a key of its own in its user
    // directory; it matters little here, as this flow's logins are names of variables.
    credentialSecret: env.NODE_RED_CREDENTIAL_SECRET || undefined,

    uiHost: "127.0.0.1",
    uiPort: Number(env.NODE_RED_PORT || 1880),
    // To offer the editor to others: a login (`npx node-red admin hash-pw`), and TLS before it.
    adminAuth: !env.NODE_RED_ADMIN_HASH ? undefined : {
        type: "credentials",
        users: [{ username: "admin", password: env.NODE_RED_ADMIN_HASH, permissions: "*" }],
    },
    httpNodeRoot: false, // no flow here answers HTTP

    functionExternalModules: true, // Poll Assemblies asks for Node's own `net` and `perf_hooks`
    externalModules: { // but nothing is installed at run time
        autoInstall: false,
        palette: { allowInstall: false, allowUpload: false },
        modules: { allowInstall: false },
    },
    mqttReconnectTime: Number(env.BROKER_RETRY_MS || 5000),
    editorTheme: { projects: { enabled: false } },
    diagnostics: { enabled: true, ui: true },
    telemetry: { enabled: false, updateNotification: false },
    logging: { console: { level: env.NODE_RED_LOG || "info", metrics: false, audit: false } },
};
