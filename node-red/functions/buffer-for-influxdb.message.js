// Lines come from "Format Influx Body", answers from "POST /api/v2/write".
if (msg.batch === undefined) {
    add(msg.payload);
} else {
    answered(msg);
}
return null;
