// Polls assembly objects of power monitors over EtherNet/IP, each at its own instants.
//
// Listen-only: this node says four things to a device, and none of them changes anything there:
// "open a session", and "read attribute 3 of assembly 101", "… 102", "… 107". There is no code
// in it that could write.
const { performance } = perf_hooks;

// ---- Which bytes mean what ---------------------------------------------------------------------
// The map `ab-pm500-manual`: little-endian REALs, four bytes each. Instances and sizes are the
// manual's (1420-UM001E); the order of the values and how registers are split is INFERRED:
// compare with the display of the device before you rely on it.
// [instance, number of REALs, [name, scale] of each in order]. REALs of one name are added up.
const KILO = 0.001; // W to kW, VA to kVA, var to kVAR
const phases = (name, scale) => ["A", "B", "C", ""].map((phase) => [name + phase, scale]);
const register = (name) => [[name, 1e6], [name, 1]]; // giga and kilo
const ASSEMBLIES = [
    [101, 12, [
        "voltageAN", "voltageBN", "voltageCN", "voltageAverage",
        "voltageAB", "voltageBC", "voltageCA", "voltageLineAverage",
        "currentA", "currentB", "currentC", "currentN",
    ].map((name) => [name, 1])],
    [102, 18, [
        ...phases("realPower", KILO), ...phases("apparentPower", KILO),
        ...phases("reactivePower", KILO), ...phases("powerFactor", 1),
        ["phaseSequence", 1], ["frequency", 1],
    ]],
    [107, 18, [
        ...["realEnergy", "reactiveEnergy", "realEnergyExported", "reactiveEnergyExported",
            "partialRealEnergy", "partialReactiveEnergy", "partialRealEnergyExported",
            "partialReactiveEnergyExported"].flatMap(register),
        ["operatingHours", 1], ["operatingHours", 1 / 60], // hours and minutes
    ]],
];

/** Adds the values of one assembly. Throws for another size and for what is no finite number. */
function decode([instance, count, places], data, values) {
    if (data.length !== 4 * count) {
        throw failure("unreadable", `instance ${instance}: ${data.length} bytes, not ${4 * count}`);
    }
    places.forEach(([name, scale], place) => {
        const number = data.readFloatLE(4 * place) * scale;
        if (!Number.isFinite(number)) {
            throw failure("unreadable", `instance ${instance}, byte ${4 * place} (${name}): ${number}`);
        }
        values[name] = (values[name] ?? 0) + number;
    });
}

// ---- Settings, from the environment ------------------------------------------------------------
const text = (name) => String(env.get(name) ?? "").trim();
function bounded(name, usual, least, most) {
    const given = text(name) === "" ? usual : Number(text(name));
    if (Number.isFinite(given)) {
        return Math.min(Math.max(given, least), most);
    }
    node.error(`${name}: ${text(name)} is no number; ${usual} is taken`, {});
    return usual;
}
const LEAST_GAP = 100; // milliseconds: the device is never asked more often
const PERIOD = bounded("POLL_MS", 1000, LEAST_GAP, 86400000);
const TIMEOUT = bounded("TIMEOUT_MS", 1000, 50, 60000); // for each answer, and for a connection
const LONGEST_PAUSE = bounded("LONGEST_PAUSE_MS", 60000, 1000, 3600000);
const FIRST_PAUSE = 1000;
const GONE_AFTER = 2; // failures in a row: one alone is a hiccup
const MOST_DEVICES = 1000;

/** One device from the variables, or those of DEVICES, a JSON list of objects. */
function configured() {
    const usual = {
        host: text("DEVICE_HOST"), port: text("DEVICE_PORT") || 44818,
        group: text("GROUP") || "pm500", edge: text("EDGE") || "edge-1", name: text("DEVICE"),
        uuid: text("ASSET_UUID"), site: text("SITE"), asset: text("ASSET"), breaker: text("BREAKER"),
    };
    const listed = text("DEVICES") ? JSON.parse(text("DEVICES")) : [{}];
    return listed.slice(0, MOST_DEVICES).map((given) => {
        const one = { ...usual, ...given };
        one.name = one.name || one.asset || "pm-1";
        one.uuid = one.uuid || one.name;
        if (!one.host) {
            throw new Error(`${one.name}: no host: set DEVICE_HOST`);
        }
        return one;
    });
}

// ---- EtherNet/IP -------------------------------------------------------------------------------
const REGISTER_SESSION = 0x65;
const SEND_RR_DATA = 0x6f;
const HEADER = 24;
const LONGEST = 4096; // bytes after a header: far more than these assemblies have
const REFUSALS = {
    0x05: "there is no such assembly", 0x08: "it does not know the service",
    0x14: "it does not know the attribute", 0x16: "there is no such object",
};

function failure(kind, message) {
    return Object.assign(new Error(message), { kind });
}

/** Get_Attribute_Single, class 4 (assembly), instance, attribute 3 (data), without a connection. */
function reading(instance) {
    const message = [0x0e, 3, 0x20, 0x04, 0x24, instance, 0x30, 0x03];
    const data = Buffer.alloc(16 + message.length);
    data.writeUInt16LE(10, 4); // seconds that the device may take to answer
    data.writeUInt16LE(2, 6); // two items: the null address, and the message
    data.writeUInt16LE(0xb2, 12);
    data.writeUInt16LE(message.length, 14);
    data.set(message, 16);
    return data;
}
const READINGS = new Map(ASSEMBLIES.map(([instance]) => [instance, reading(instance)]));

/** One TCP connection with one session on it. One request is under way at a time. */
class Link {
    constructor(socket) {
        this.socket = socket;
        this.session = 0;
        this.asked = 0;
        this.received = Buffer.alloc(0);
        this.waiting = null;
        this.alive = true;
        socket.setNoDelay(true);
        socket.on("data", (data) => this.take(data));
        socket.on("error", () => {}); // "close" follows
        socket.on("close", () => this.end(failure("lost", "the device closed the connection")));
    }

    static async open(host, port) {
        const link = new Link(net.connect({ host, port: Number(port) }));
        try {
            await link.within(TIMEOUT, "offline", (fulfil, reject) => {
                link.socket.once("connect", fulfil);
                link.socket.once("error", (error) => reject(failure("offline", error.message)));
            });
            const version = Buffer.from([1, 0, 0, 0]);
            link.session = (await link.ask(REGISTER_SESSION, version)).session;
            return link;
        } catch (error) {
            link.end(error);
            throw error;
        }
    }

    /** Does something that fulfils or rejects, but no longer than so many milliseconds. */
    within(time, kind, start) {
        return new Promise((resolve, refuse) => {
            const timer = setTimeout(() => this.end(failure(kind, `no answer in ${time} ms`)), time);
            const settle = (how) => (what) => {
                clearTimeout(timer);
                this.waiting = null;
                how(what);
            };
            this.waiting = { fulfil: settle(resolve), reject: settle(refuse) };
            start(this.waiting.fulfil, this.waiting.reject);
        });
    }

    async ask(command, data) {
        if (!this.alive) {
            throw failure("lost", "the device closed the connection");
        }
        const frame = Buffer.alloc(HEADER + data.length);
        this.asked += 1;
        frame.writeUInt16LE(command, 0);
        frame.writeUInt16LE(data.length, 2);
        frame.writeUInt32LE(this.session, 4);
        frame.writeUInt32LE(this.asked, 12); // the sender context comes back in the answer
        frame.set(data, HEADER);
        this.command = command;
        return this.within(TIMEOUT, "silent", () => this.socket.write(frame));
    }

    /** Takes what arrived: a piece of an answer, or one, however TCP cut it. */
    take(data) {
        this.received = this.received.length ? Buffer.concat([this.received, data]) : data;
        if (this.received.length < HEADER) {
            return;
        }
        const length = this.received.readUInt16LE(2);
        if (length > LONGEST) {
            this.end(failure("lost", "the answer is no EtherNet/IP"));
        } else if (this.received.length >= HEADER + length) {
            const frame = this.received.subarray(0, HEADER + length);
            this.received = this.received.subarray(HEADER + length);
            this.answer(frame);
        }
    }

    answer(frame) {
        const status = frame.readUInt32LE(8);
        const session = frame.readUInt32LE(4);
        const expected = frame.readUInt16LE(0) === this.command
            && frame.readUInt32LE(12) === this.asked
            && (this.session === 0 || session === this.session);
        if (status !== 0) {
            this.end(failure("lost", `encapsulation status ${status}`));
        } else if (!expected || !this.waiting) {
            this.end(failure("lost", "an answer to something that was not asked"));
        } else {
            this.waiting.fulfil({ session, data: frame.subarray(HEADER) });
        }
    }

    async read(instance) {
        const { data } = await this.ask(SEND_RR_DATA, READINGS.get(instance));
        const message = data.length >= 20 && data.readUInt16LE(12) === 0xb2 ? data.subarray(16) : null;
        if (!message || message[0] !== 0x8e || data.readUInt16LE(14) !== message.length) {
            throw failure("lost", "the answer is none to a read request");
        }
        if (message[2] !== 0) {
            const reason = REFUSALS[message[2]] ?? "refused";
            throw failure("denied", `instance ${instance}: CIP status ${message[2]}, ${reason}`);
        }
        return message.subarray(4 + 2 * message[3]);
    }

    end(error) {
        this.alive = false;
        this.socket.destroy();
        this.waiting?.reject(error);
    }
}

// ---- One device ---------------------------------------------------------------------------------
const figures = {
    devices: 0, answering: 0, polls: 0, answered: 0, missed: 0,
    offline: 0, silent: 0, lost: 0, denied: 0, unreadable: 0, reconnects: 0,
};

class Poller {
    constructor(device, first) {
        this.device = device;
        this.due = first;
        this.began = -Infinity;
        this.failures = 0;
        this.retryAt = 0;
        this.link = null;
        this.links = 0;
        this.state = "";
        this.early = false; // polled between its instants, because somebody asked
        this.wake = () => {};
    }

    async run() {
        while (!stopped) {
            await this.wait();
            if (stopped) {
                return;
            }
            this.began = performance.now();
            late(Math.max(this.began - this.due, 0));
            figures.polls += 1;
            await this.poll();
            this.advance();
        }
    }

    wait() {
        return new Promise((resolve) => {
            const until = Math.max(this.due, this.began + LEAST_GAP);
            const timer = setTimeout(resolve, Math.max(until - performance.now(), 0));
            this.wake = () => {
                clearTimeout(timer);
                resolve();
            };
        });
    }

    /** Polls at once, unless it has just been done. */
    now() {
        if (performance.now() - this.began >= LEAST_GAP) {
            this.early = true;
            this.wake();
        }
    }

    /** Goes on to the next instant; those that have passed were missed. */
    advance() {
        const earliest = Math.max(performance.now(), this.retryAt);
        const steps = Math.max(Math.ceil((earliest - this.due) / PERIOD), this.early ? 0 : 1);
        figures.missed += Math.max(steps - 1, 0);
        this.early = false;
        this.due += steps * PERIOD;
    }

    async poll() {
        try {
            const values = await this.fetch();
            figures.answered += 1;
            this.reached();
            node.send({ payload: values, timestamp: Date.now(), device: this.device }, false);
        } catch (error) {
            if (stopped) {
                return;
            }
            const kind = error.kind ?? "lost";
            figures[kind] += 1;
            if (kind === "denied" || kind === "unreadable") {
                this.reached(); // it answers, if not as it should
                complain(this.device.name, error.message);
            } else {
                this.failed(error, kind);
            }
        }
    }

    /** Reads all assemblies. A session that got lost is made anew at once, but only once. */
    async fetch() {
        const lasting = Boolean(this.link?.alive);
        try {
            return await this.readAll();
        } catch (error) {
            if (!lasting || error.kind !== "lost") {
                throw error;
            }
            this.drop(error);
        }
        return this.readAll();
    }

    async readAll() {
        if (!this.link?.alive) {
            this.link = await Link.open(this.device.host, this.device.port);
            figures.reconnects += this.links > 0 ? 1 : 0;
            this.links += 1;
        }
        const values = {};
        for (const assembly of ASSEMBLIES) {
            decode(assembly, await this.link.read(assembly[0]), values);
        }
        return values;
    }

    reached() {
        this.failures = 0;
        this.retryAt = 0;
        this.tell("online", "");
    }

    failed(error, kind) {
        this.drop(error);
        this.failures += 1;
        if (this.failures < GONE_AFTER) {
            return;
        }
        const pause = Math.min(FIRST_PAUSE * 2 ** (this.failures - GONE_AFTER), LONGEST_PAUSE);
        this.retryAt = performance.now() + pause * (0.5 + Math.random() / 2);
        this.tell(kind === "silent" ? "silent" : "offline", error.message);
    }

    /** Says how it stands with the device, when that is news. */
    tell(state, reason) {
        if (state === this.state) {
            return;
        }
        figures.answering += (state === "online") - (this.state === "online");
        this.state = state;
        this.reason = reason;
        if (reason) {
            complain(this.device.name, `${state}: ${reason}`);
        }
        show();
    }

    drop(error) {
        this.link?.end(error);
        this.link = null;
    }
}

// ---- What it tells ------------------------------------------------------------------------------
const lateness = []; // milliseconds, of the last 60 polls of each device
let latest = 0;
function late(time) {
    lateness[latest] = time;
    latest = (latest + 1) % (60 * pollers.length);
}

/** An error for the Catch node, once a minute for the same thing. */
const complained = new Map();
function complain(name, reason) {
    const last = complained.get(name + reason) ?? -Infinity;
    if (performance.now() - last >= 60000) {
        complained.clear(); // never more than a minute's
        complained.set(name + reason, performance.now());
        node.error(`${name}: ${reason}`, { device: name, reason });
    }
}

function show() {
    const gone = pollers.filter((poller) => poller.state && poller.state !== "online");
    const [first] = gone;
    const said = first ? `: ${first.device.name} ${first.state}, ${first.reason}` : "";
    node.status({
        fill: gone.length ? "red" : "green", shape: gone.length ? "ring" : "dot",
        text: `${figures.answering} of ${pollers.length} answering${said}`,
    });
}

/** Figures for the sidebar Context Data, and for who asks the admin API for them. */
function publish() {
    const sorted = Float64Array.from(lateness).sort();
    const at = (part) => sorted[Math.min(Math.floor(part * sorted.length), sorted.length - 1)] ?? 0;
    flow.set("polls", { ...figures, late_p50_ms: at(0.5), late_p99_ms: at(0.99) });
}

// ---- Start --------------------------------------------------------------------------------------
let stopped = false;
let pollers = [];
try {
    const devices = configured();
    const begin = performance.now();
    figures.devices = devices.length;
    // Spread over the period, so that devices are not all asked at one instant.
    pollers = devices.map((device, number) => new Poller(device, begin + (number * PERIOD) / devices.length));
} catch (error) {
    node.status({ fill: "red", shape: "ring", text: error.message });
    node.error(error.message, {});
}
for (const poller of pollers) {
    poller.run().catch((error) => node.error(`polling ended: ${error.stack}`, {}));
}
publish();
setInterval(publish, 1000);

// What the other two tabs of this node use.
globalThis.pollAll = () => pollers.forEach((poller) => poller.now());
globalThis.stopPolling = () => {
    stopped = true;
    pollers.forEach((poller) => {
        poller.wake();
        poller.drop(failure("lost", "stopped"));
    });
};
