// Add or remove metrics by editing this list: [name of the value, alias or "", unit or ""].
// `msg.payload` has the values by name; what has no value is left out.
const METRICS = [
    ["voltageAN", "PM500/voltage/AN", "V"],
    ["voltageBN", "PM500/voltage/BN", "V"],
    ["voltageCN", "PM500/voltage/CN", "V"],
    ["voltageAverage", "", "V"],
    ["voltageAB", "", "V"],
    ["voltageBC", "", "V"],
    ["voltageCA", "", "V"],
    ["voltageLineAverage", "", "V"],
    ["currentA", "PM500/current/A", "A"],
    ["currentB", "PM500/current/B", "A"],
    ["currentC", "PM500/current/C", "A"],
    ["currentN", "", "A"],
    ["realPowerA", "", "kW"],
    ["realPowerB", "", "kW"],
    ["realPowerC", "", "kW"],
    ["realPower", "PM500/power/real", "kW"],
    ["apparentPowerA", "", "kVA"],
    ["apparentPowerB", "", "kVA"],
    ["apparentPowerC", "", "kVA"],
    ["apparentPower", "PM500/power/apparent", "kVA"],
    ["reactivePowerA", "", "kVAR"],
    ["reactivePowerB", "", "kVAR"],
    ["reactivePowerC", "", "kVAR"],
    ["reactivePower", "PM500/power/reactive", "kVAR"],
    ["powerFactorA", "", ""],
    ["powerFactorB", "", ""],
    ["powerFactorC", "", ""],
    ["powerFactor", "PM500/power/factor", ""],
    ["phaseSequence", "", ""],
    ["frequency", "PM500/frequency", "Hz"],
    ["realEnergy", "PM500/energy/real", "kWh"],
    ["reactiveEnergy", "", "kVARh"],
    ["realEnergyExported", "", "kWh"],
    ["reactiveEnergyExported", "", "kVARh"],
    ["partialRealEnergy", "", "kWh"],
    ["partialReactiveEnergy", "", "kVARh"],
    ["partialRealEnergyExported", "", "kWh"],
    ["partialReactiveEnergyExported", "", "kVARh"],
    ["operatingHours", "", "h"],
];
const SEQ_RANGE = 2 ** 31; // beyond Sparkplug's 255: this is JSON, not Sparkplug B

const { device, timestamp, payload: values } = msg;
const seq = sent.get(device.name) ?? 0;
sent.set(device.name, (seq + 1) % SEQ_RANGE);

const metrics = METRICS.filter(([name]) => values[name] !== undefined).map(([name, alias, unit]) => ({
    name,
    ...(alias && { alias }),
    value: values[name],
    ...(unit && { properties: { unit } }),
}));

// An id in a topic has none of `/ + # %`.
const id = (part) =>
    String(part).replace(/[%/+#]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
return {
    topic: `spBv1.0/${id(device.group)}/DDATA/${id(device.edge)}/${id(device.name)}`,
    payload: { metrics, timestamp, seq, uuid: device.uuid },
};
