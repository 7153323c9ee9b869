// Fetches what an event tells of, with SolarNetwork's own library, unmodified.
// Arguments: base URL, token, secret. Standard input: the body of a message. Prints the results.
import { readFileSync } from "node:fs";
import { Environment, AuthorizationV2Builder, HttpHeaders, SolarQueryApi } from "solarnetwork-api-core/lib/net";
import { Aggregations, DatumFilter } from "solarnetwork-api-core/lib/domain";

const [base, token, secret] = process.argv.slice(2);
const event = JSON.parse(readFileSync(0, "utf8"));
const url = new URL(base);
const protocol = url.protocol.slice(0, -1);
const port = Number(url.port);
const api = new SolarQueryApi(new Environment({ protocol, host: url.hostname, port }));
const auth = new AuthorizationV2Builder(token, new Environment({ protocol, host: url.host, port }));
auth.saveSigningKey(secret);

const filter = new DatumFilter();
filter.nodeId = event.nodeId;
filter.sourceId = event.sourceId;
filter.aggregation = { h: Aggregations.Hour, d: Aggregations.Day, M: Aggregations.Month }[event.aggregationKey];
filter.startDate = new Date(event.timestamp);
filter.endDate = new Date(event.timestamp + 60_000); // the library writes minutes

const address = api.listDatumUrl(filter);
auth.snDate(true).url(address, true);
const response = await fetch(address, {
  headers: {
    [HttpHeaders.X_SN_DATE]: auth.requestDateHeaderValue,
    [HttpHeaders.AUTHORIZATION]: auth.buildWithSavedKey(),
  },
});
const json = await response.json();
if (!json.success) throw new Error(`${response.status} ${address}: ${JSON.stringify(json)}`);
console.log(JSON.stringify({ address, results: json.data.results }));
