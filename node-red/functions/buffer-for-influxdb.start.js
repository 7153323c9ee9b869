// Keeps lines until InfluxDB has them: batches, one request under way, retries with pauses, a
// bound on what waits. Everything is in memory: a restart of Node-RED loses what waits.
const text = (name) => String(env.get(name) ?? "").trim();
const bounded = (name, usual, least, most) =>
    Math.min(Math.max(Number(text(name)) || usual, least), most);

const URL_GIVEN = text("INFLUXDB_URL").replace(/\/+$/, "");
const USABLE = /^https?:\/\//.test(URL_GIVEN) && URL.canParse(URL_GIVEN);

const BATCH_MS = bounded("INFLUX_BATCH_MS", 1000, 50, 60000);
const MOST_WAITING = bounded("INFLUX_BUFFER", 36000, 10, 1000000); // polls: 10 h of one at 1 s
const BATCH = 1000; // polls in a request: 4,000 lines, some 700 KB
const REQUEST_MS = 10000;
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = bounded("LONGEST_PAUSE_MS", 60000, 1000, 3600000);
const LONGEST_TOLD = 300; // seconds of a Retry-After that are obeyed
// Whose fault it is: what a person can set right is tried again, a bad line is not.
const SETTINGS_WRONG = {
    401: "check INFLUXDB_TOKEN", 403: "the token may not write there",
    404: "check INFLUXDB_ORG and INFLUXDB_BUCKET",
};
const LINES_WRONG = [400, 413, 422]; // of 422 the good lines are stored; all count as refused

const waiting = []; // bodies of polls, oldest first
const counts = { written: 0, dropped: 0, refused: 0, retries: 0 };
let batch = null; // what is under way: { bodies, id, at }
let failures = 0;
let notBefore = 0;
let requests = 0;
let said = "";

function show(fill, words) {
    const more = counts.dropped + counts.refused;
    const lost = more ? `, ${more} lost` : "";
    const shown = `${words}; ${waiting.length} waiting${lost}`;
    flow.set("influxdb", { ...counts, waiting: waiting.length, says: words });
    if (shown !== said) { // the editor is told of what changed alone
        said = shown;
        node.status({ fill, shape: fill === "green" ? "dot" : "ring", text: shown });
    }
}

function shorten() {
    const over = waiting.length - MOST_WAITING;
    if (over > 0) {
        waiting.splice(0, over); // the oldest
        counts.dropped += over;
    }
}

function request(bodies) {
    const query = new URLSearchParams({
        org: text("INFLUXDB_ORG"), bucket: text("INFLUXDB_BUCKET"), precision: "ms",
    });
    return {
        url: `${URL_GIVEN}/api/v2/write?${query}`,
        headers: {
            authorization: `Token ${text("INFLUXDB_TOKEN")}`,
            "content-type": "text/plain; charset=utf-8",
        },
        payload: bodies.join(""),
        requestTimeout: REQUEST_MS,
        followRedirects: false, // the token is for this address alone
        batch: batch.id,
    };
}

function flush() {
    const now = Date.now();
    if (batch && now - batch.at > 3 * REQUEST_MS) {
        again(now, "no answer"); // the request node was deployed anew meanwhile
    }
    if (batch || waiting.length === 0 || now < notBefore) {
        return;
    }
    const bodies = waiting.splice(0, BATCH);
    requests += 1;
    batch = { bodies, id: requests, at: now };
    node.send(request(bodies));
}

/** Puts the batch back, to be sent after a pause. */
function again(now, words, told = 0) {
    waiting.unshift(...batch.bodies);
    batch = null;
    shorten();
    counts.retries += 1;
    const own = Math.min(FIRST_PAUSE * 2 ** failures, LONGEST_PAUSE) * (0.5 + Math.random() / 2);
    failures = Math.min(failures + 1, 20);
    notBefore = now + Math.max(own, Math.min(told, LONGEST_TOLD) * 1000);
    show(words.startsWith("40") ? "red" : "yellow", words);
}

function refused(words) {
    counts.refused += batch.bodies.length;
    batch = null;
    failures = 0;
    show("red", words);
    node.error(`InfluxDB: ${words}`, {});
}

globalThis.add = (body) => {
    if (USABLE) {
        waiting.push(body);
        shorten();
    }
};

/** Takes the answer of the request node. */
globalThis.answered = ({ batch: id, statusCode: status, headers, payload }) => {
    if (batch?.id !== id) {
        return; // an answer that was given up
    }
    const reason = String(payload ?? "").slice(0, 200);
    if (status >= 200 && status < 300) {
        counts.written += batch.bodies.length;
        batch = null;
        failures = 0;
        show("green", "written");
    } else if (SETTINGS_WRONG[status]) {
        again(Date.now(), `${status}: ${SETTINGS_WRONG[status]}`);
        node.warn(`InfluxDB: ${status}: ${reason}`);
    } else if (LINES_WRONG.includes(status)) {
        refused(`${status}: ${reason}`);
    } else {
        again(Date.now(), `${status}`, Number(headers?.["retry-after"]) || 0);
    }
};

if (USABLE) {
    show("green", "nothing written yet");
    setInterval(flush, BATCH_MS);
} else {
    show("grey", "INFLUXDB_URL is not set: nothing is written");
}
