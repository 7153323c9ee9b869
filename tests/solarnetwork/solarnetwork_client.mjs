// Signs with SolarNetwork's own library and sends what it says; a line of JSON per request.
// Arguments: base URL, token, secret. Each line on stdin: {method, path, body?}, or in place of the
// path `call`, for the library to make an address of.
import { createInterface } from "node:readline";
import { Environment, AuthorizationV2Builder, HttpHeaders, SolarUserApi } from "solarnetwork-api-core/lib/net";

const [base, token, secret] = process.argv.slice(2);
const url = new URL(base);
const environment = new Environment({
  protocol: url.protocol.slice(0, -1), host: url.host, port: Number(url.port),
});
const auth = new AuthorizationV2Builder(token, environment);
auth.saveSigningKey(secret); // browsers keep the derived key, and not the secret
const users = new SolarUserApi(new Environment({
  protocol: url.protocol.slice(0, -1), host: url.hostname, port: Number(url.port),
}));

for await (const line of createInterface({ input: process.stdin })) {
  const { method, path, call, body } = JSON.parse(line);
  const address = call === undefined ? base + path : users.baseUrl() + call;
  auth.reset().snDate(true).method(method).url(address);
  const headers = {};
  if (body !== undefined) {
    headers[HttpHeaders.CONTENT_TYPE] = "application/json; charset=UTF-8";
    auth.contentType(headers[HttpHeaders.CONTENT_TYPE]).computeContentDigest(body);
    headers[HttpHeaders.DIGEST] = auth.httpHeaders.firstValue(HttpHeaders.DIGEST);
  }
  headers[HttpHeaders.X_SN_DATE] = auth.requestDateHeaderValue;
  headers[HttpHeaders.AUTHORIZATION] = auth.buildWithSavedKey();
  const response = await fetch(address, { method, headers, body });
  console.log(JSON.stringify({ status: response.status, json: await response.json() }));
}
