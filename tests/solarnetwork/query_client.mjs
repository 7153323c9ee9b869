// Builds addresses, signs and asks with SolarNetwork's own library, unmodified.
// Arguments: base URL, token, secret, node id, milliseconds of a new datum. Prints one JSON object.
import { Environment, AuthorizationV2Builder, HttpHeaders, SolarQueryApi } from "solarnetwork-api-core/lib/net";
import {
  Aggregations, DatumFilter, DatumReadingTypes, Pagination, SortDescriptor,
} from "solarnetwork-api-core/lib/domain";
import { dateParser } from "solarnetwork-api-core/lib/util/dates";

const [base, token, secret, node, created] = process.argv.slice(2);
const url = new URL(base);
const environment = new Environment({
  protocol: url.protocol.slice(0, -1), host: url.host, port: Number(url.port),
});
const auth = new AuthorizationV2Builder(token, environment);
auth.saveSigningKey(secret);

async function send(method, address, body) {
  auth.reset().snDate(true).method(method).url(address, true);
  const headers = {};
  if (body !== undefined) {
    headers[HttpHeaders.CONTENT_TYPE] = "application/json; charset=UTF-8";
    auth.contentType(headers[HttpHeaders.CONTENT_TYPE]).computeContentDigest(body);
    headers[HttpHeaders.DIGEST] = auth.httpHeaders.firstValue(HttpHeaders.DIGEST);
  }
  headers[HttpHeaders.X_SN_DATE] = auth.requestDateHeaderValue;
  headers[HttpHeaders.AUTHORIZATION] = auth.buildWithSavedKey();
  const response = await fetch(address, { method, headers, body });
  const json = await response.json();
  if (!json.success) throw new Error(`${response.status} ${address}: ${JSON.stringify(json)}`);
  return json.data;
}

const api = new SolarQueryApi(new Environment({
  protocol: url.protocol.slice(0, -1), host: url.hostname, port: Number(url.port),
}));
const filter = new DatumFilter();
filter.nodeId = Number(node);
filter.sourceIds = ["/power/1", "/wa?er/**"];
filter.startDate = new Date("2020-06-01T00:00:00Z");
filter.endDate = new Date("2020-06-01T18:30:00Z");
const hourly = new DatumFilter(filter);
hourly.aggregation = Aggregations.Hour;
const newest = [new SortDescriptor("created", true)];

const uploaded = await send("POST", `${base}/solarin/bulkCollector.do`, JSON.stringify([
  { nodeId: Number(node), created: Number(created), sourceId: "/größe/1", i: { "l/min": 3.5 } },
]));
const raw = await send("GET", api.listDatumUrl(filter, newest, new Pagination(2, 1)));
console.log(JSON.stringify({
  nodes: await send("GET", api.listAllNodeIdsUrl()),
  sources: await send("GET", api.findSourcesUrl(filter)),
  available: await send("GET", api.availableSourcesUrl(filter, true)),
  interval: await send("GET", api.reportableIntervalUrl(Number(node), ["/power/1"])),
  raw,
  parsed: dateParser(raw.results[0].created).toISOString(),
  hours: await send("GET", api.listDatumUrl(hourly)),
  recent: await send("GET", api.mostRecentDatumUrl(filter)),
  reading: await send("GET", api.datumReadingUrl(DatumReadingTypes.Difference, filter, "P1D")),
  uploaded,
}));
