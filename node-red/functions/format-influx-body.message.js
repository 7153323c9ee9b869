// One line for each phase, and one for the total. Change the measurement, the tags or the fields
// here; new fields need a place in your Grafana dashboards, too.
const MEASUREMENT = "powermonitor_500";
const { device, timestamp, payload: values } = msg;

const tagsOf = (phase) => ({
    asset: device.asset, breaker: device.breaker, phase, site: device.site,
});

// field: name of the value in `msg.payload`. A field without a value is left out.
const fieldsOf = (phase) => ({
    voltage: `voltage${phase}N`, current: `current${phase}`, kW: `realPower${phase}`,
    kVAR: `reactivePower${phase}`, kVA: `apparentPower${phase}`, power_factor: `powerFactor${phase}`,
});
const TOTAL = {
    kWh: "realEnergy", kW: "realPower", kVAR: "reactivePower", kVA: "apparentPower",
    voltage: "voltageAverage", current: "currentAverage", power_factor: "powerFactor",
};

/** A tag's value or a key; what cannot stand on a line is replaced. */
function escaped(text) {
    const shown = String(text)
        .replace(/[\n\r\t]/g, (sign) => ({ "\n": "\\n", "\r": "\\r", "\t": "\\t" })[sign])
        .replace(/[,= ]/g, "\\$&");
    return shown.endsWith("\\") ? `${shown.slice(0, -1)}/` : shown; // would escape what follows
}
// Always a float: the first type of a field is pinned for ever.
const float = (number) => (Number.isInteger(number) ? number.toFixed(1) : String(number));

function line(phase, fields) {
    const tags = Object.entries(tagsOf(phase)).filter(([, value]) => value);
    const shown = Object.entries(fields)
        .filter(([, name]) => Number.isFinite(values[name]))
        .map(([key, name]) => `${key}=${float(values[name])}`);
    if (shown.length === 0) {
        return "";
    }
    const head = [MEASUREMENT, ...tags.map(([key, value]) => `${key}=${escaped(value)}`)];
    return `${head.join(",")} ${shown.join(",")} ${timestamp}\n`; // milliseconds
}

const lines = ["A", "B", "C"].map((phase) => line(phase, fieldsOf(phase)));
return { payload: [...lines, line("total", TOTAL)].join("") };
