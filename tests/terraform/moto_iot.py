"""The AWS emulator in a process of its own, with the calls of AWS IoT that it answers 500 to.

What is added is a fake, and it says so: it keeps provisioning templates and tags as they come,
refuses a template that AWS would refuse for its size, name or body, and shows what was published.
"""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

ACCOUNT = "123456789012"
REGION = "eu-central-1"
#: https://docs.aws.amazon.com/iot/latest/apireference/API_CreateProvisioningTemplate.html
LONGEST_NAME, LONGEST_BODY = 36, 10_240
TYPES = {"AWS::IoT::Certificate", "AWS::IoT::Policy", "AWS::IoT::Thing"}


class IotGaps:
    """A WSGI application in front of the emulator's."""

    def __init__(self, app):
        self.app = app
        self.templates = {}
        self.tags = {}
        self.published = []

    def __call__(self, environ, start_response):
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == "/published":
            answer = 200, self.published
        elif path.startswith("/topics/") and method == "POST":
            answer = self._publish(environ)
        elif "/iot/aws4_request" not in environ.get("HTTP_AUTHORIZATION", ""):
            return self.app(environ, start_response)
        elif path.startswith("/provisioning-templates"):
            answer = self._template(method, path.split("/")[2:], lambda: _body(environ))
        elif path in {"/tags", "/untag"}:
            answer = self._tag(method, path, environ)
        else:
            return self.app(environ, start_response)
        return _answered(start_response, *answer)

    def _publish(self, environ):
        """Take what is published to the broker, in place of the emulator, which hides it."""
        topic = unquote(environ["RAW_URI"].partition("?")[0].removeprefix("/topics/"))
        self.published.append([topic, _bytes(environ).decode()])
        return 200, {"message": "OK", "traceId": "0"}

    def _template(self, method, names, body):
        name = names[0] if names else None
        if method == "POST":
            return self._create(body())
        if name not in self.templates:
            return 404, {"__type": "ResourceNotFoundException", "message": f"no template {name}"}
        if method == "DELETE":
            del self.templates[name]
            return 200, {}
        return 200, self.templates[name]

    def _create(self, given):
        if (reason := _refusal(given)) is not None:
            return 400, {"__type": "InvalidRequestException", "message": reason}
        arn = f"arn:aws:iot:{REGION}:{ACCOUNT}:provisioningtemplate/{given['templateName']}"
        kept = {k: v for k, v in given.items() if k != "tags"}
        self.templates[given["templateName"]] = {**kept, "templateArn": arn, "defaultVersionId": 1}
        self.tags[arn] = given.get("tags", [])
        return 200, {"templateArn": arn, "templateName": given["templateName"]}

    def _tag(self, method, path, environ):
        if method == "GET":
            arn = parse_qs(environ["QUERY_STRING"])["resourceArn"][0]
            return 200, {"tags": self.tags.get(arn, [])}
        given = _body(environ)
        arn = given["resourceArn"]
        gone = set(given.get("tagKeys", [])) | {tag["Key"] for tag in given.get("tags", [])}
        kept = [tag for tag in self.tags.get(arn, []) if tag["Key"] not in gone]
        self.tags[arn] = kept + given.get("tags", [])
        return 200, {}


def _answered(start_response, status, content):
    data = json.dumps(content).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    if status != 200:
        headers.append(("x-amzn-ErrorType", content["__type"]))
    start_response(f"{status} Because", headers)
    return [data]


def _bytes(environ):
    return environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


def _body(environ):
    return json.loads(_bytes(environ))


def _refusal(given):
    body = json.loads(given["templateBody"])
    if not re.fullmatch(rf"[0-9A-Za-z_-]{{1,{LONGEST_NAME}}}", given["templateName"]):
        return "templateName"
    if len(given["templateBody"]) > LONGEST_BODY:
        return "templateBody is too long"
    if set(body) != {"Parameters", "Resources"}:
        return "templateBody has Parameters and Resources"
    if {resource["Type"] for resource in body["Resources"].values()} != TYPES:
        return "a fleet template makes a certificate, a policy and a thing"
    return _unknown(body)


def _unknown(body):
    referred = set(re.findall(r'"Ref": ?"([^"]+)"', json.dumps(body["Resources"])))
    unknown = referred - set(body["Parameters"])
    return f"parameters that are not there: {sorted(unknown)}" if unknown else None


def _serve(port_file):
    app = IotGaps(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    Path(f"{port_file}.new").write_text(str(server.port))
    Path(f"{port_file}.new").rename(port_file)
    server.serve_forever()


@contextmanager
def moto_with_iot(folder):
    """Run the emulator on a free port; yields its URL. The folder keeps its log."""
    port_file = folder / "port"
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MOTO_"))}
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, str(port_file)],
            env={**outside, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"},
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{_written(port_file, process)}"
        finally:
            process.terminate()
            process.wait(10)


def _written(path, process, seconds=60):
    until = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, path.with_name("moto.log").read_text()
        assert time.monotonic() < until, "the emulator did not start"
        time.sleep(0.02)
    return path.read_text()


if __name__ == "__main__":
    _serve(sys.argv[1])
