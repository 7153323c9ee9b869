// Signs with SolarNetwork's own library and sends what it says; a line of JSON per request.
// Arguments: base URL, token, secret. Each line on stdin: {method, path, body?}.
import { createInterface } from "node:readline";
import { Environment, AuthorizationV2Builder, HttpHeaders } from "solarnetwork-api-core/lib/net";

const [base, token, secret] = process.argv.slice(2);
const url = new URL(base);
const environment = new Environment({
  protocol: url.protocol.slice(0, -1), host: url.host, port: Number(url.port),
});
const auth = new AuthorizationV2Builder(token, environment);
auth.saveSigningKey(secret); // browsers keep the derived key, and not the secret

for await (const line of createInterface({ input: process.stdin })) {
  const { method, path, body } = JSON.parse(line);
  auth.reset().snDate(true).method(method).url(base + path);
  const headers = {};
  if (body !== undefined) {
    headers[HttpHeaders.CONTENT_TYPE] = "application/json; charset=UTF-8";
    auth.contentType(headers[HttpHeaders.CONTENT_TYPE]).computeContentDigest(body);
    headers[HttpHeaders.DIGEST] = auth.httpHeaders.firstValue(HttpHeaders.DIGEST);
  }
  headers[HttpHeaders.X_SN_DATE] = auth.requestDateHeaderValue;
  headers[HttpHeaders.AUTHORIZATION] = auth.buildWithSavedKey();
  const response = await fetch(base + path, { method, headers, body });
  console.log(JSON.stringify({ status: response.status, json: await response.json() }));
}
