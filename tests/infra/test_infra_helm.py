"""The chart, rendered by Helm's own engine and held against Kubernetes' own schemas.

No cluster takes part: what a manifest causes there is not seen here.
"""

import copy

import jsonschema
import kubernetes_validate
import pytest
import yaml
from compose_files import INFRA, loaded

from wattwire.app.serve import ROLES
from wattwire.settings import Settings

CHART = INFRA / "helm" / "wattwire"
VALUES = {
    "default": {},
    "small": yaml.safe_load((CHART / "values-small.yaml").read_text()),
    "example": yaml.safe_load((CHART / "values-example.yaml").read_text()),
    "bare": {
        "migrate": {"enabled": False},
        "serviceAccount": {"create": False},
        "podDisruptionBudget": {"enabled": False},
    },
}
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
VERSIONS = ("1.27", "1.37")
every_set = pytest.mark.parametrize("values", VALUES)
#: What the image and `docker-compose.yml` say of the hub.
UID = 10001


@pytest.fixture(scope="session")
def manifests(helm):
    """The manifests of each set of values, by kind and name."""

    def made(values):
        rendered = helm.ask("render", values)
        assert isinstance(rendered, dict), rendered
        texts = [text for path, text in rendered.items() if not path.endswith("NOTES.txt")]
        documents = [d for text in texts for d in yaml.safe_load_all(text) if d]
        found = {(d["kind"], d["metadata"]["name"]): d for d in documents}
        assert len(found) == len(documents), "two of the same name"
        return found

    return {name: made(values) for name, values in VALUES.items()}


def of_kind(found, kind):
    return {name: d for (k, name), d in found.items() if k == kind}


def pods(found):
    """Every pod's metadata and specification, by the name of what makes it."""
    return {
        name: d["spec"]["template"]
        for (kind, name), d in found.items()
        if kind in {"Deployment", "Job"}
    }


@every_set
def test_helm_finds_no_fault(helm, values):
    """`helm lint --strict` has nothing above a remark."""
    report = helm.ask("lint", VALUES[values])

    assert [] == report["errors"]
    assert [] == [m for m in report["messages"] if m["severity"] > 1]


@every_set
def test_manifests_are_kubernetes(manifests, values):
    """Each is valid by the schemas of the oldest Kubernetes the chart takes and of a new one."""
    assert manifests[values]
    for manifest in manifests[values].values():
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schemas_would_say_so(manifests):
    """The same check refuses a misspelt field, so that passing it means something."""
    broken = copy.deepcopy(manifests["default"]["Deployment", "hub-wattwire-api"])
    broken["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


def test_the_versions_are_those_of_the_chart():
    """The oldest that is checked is the oldest that the chart takes."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert f">={VERSIONS[0]}.0-0" == chart["kubeVersion"]
    assert chart["appVersion"] == chart["version"]


@every_set
def test_every_role_is_played(manifests, values):
    """Each role by one Deployment, by the hub's own command, the door by one pod at a time."""
    played = []
    for name, deployment in of_kind(manifests[values], "Deployment").items():
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        command, option, roles, *rest = container["args"]
        played += roles.split(",")
        assert ("worker", "--roles") == (command, option)
        assert ["--processes", "1", "--ready-file", "/run/wattwire/ready.json"] == rest
        if "door" in roles.split(","):
            assert 1 == deployment["spec"]["replicas"], name
            assert "Recreate" == deployment["spec"]["strategy"]["type"]

    assert sorted(ROLES) == sorted(played)


@every_set
def test_settings_are_the_hubs(manifests, values):
    """What the pods' environment holds are settings of the hub, each with a value it takes."""
    found = manifests[values]
    plain = of_kind(found, "ConfigMap")["hub-wattwire"]["data"]
    fields = {name.removeprefix("WATTWIRE_").lower(): value for name, value in plain.items()}
    secret = {
        entry["name"]
        for pod in pods(found).values()
        for entry in pod["spec"]["containers"][0]["env"]
        if "valueFrom" in entry
    }

    assert set(fields) <= set(Settings.model_fields)
    assert "0.0.0.0" == Settings(**fields).http_host
    assert {"WATTWIRE_DATABASE_URL", "WATTWIRE_NATS_URL", "WATTWIRE_ADMIN_PASSWORD"} == secret
    assert not secret & set(plain)


@every_set
def test_secrets_are_named_never_made(manifests, values):
    """The chart makes no Secret; those it names are the four of the values and MQTT's."""
    given = DEFAULTS["secrets"]
    known = {entry["name"] for entry in given.values()} | {DEFAULTS["mqtt"]["tlsSecret"]}
    named = set()
    for pod in pods(manifests[values]).values():
        for entry in pod["spec"]["containers"][0]["env"]:
            if "valueFrom" in entry:
                named.add(entry["valueFrom"]["secretKeyRef"]["name"])
        for volume in pod["spec"].get("volumes", ()):
            if "secret" in volume:
                named.add(volume["secret"]["secretName"])
                # Nobody else in the pod may read keys: the hub refuses a key file others can.
                assert 0 == volume["secret"]["defaultMode"] & 0o007

    assert {} == of_kind(manifests[values], "Secret")
    assert named == known


@every_set
def test_pods_may_do_little(manifests, values):
    """Not root, nothing writable but what is mounted, no capabilities, no token of the cluster."""
    for name, pod in pods(manifests[values]).items():
        spec, container = pod["spec"], pod["spec"]["containers"][0]
        security = container["securityContext"]

        assert spec["securityContext"]["runAsNonRoot"], name
        assert UID == spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert {"drop": ["ALL"]} == security["capabilities"]
        assert not spec["automountServiceAccountToken"]
        # A Service wattwire-mqtt would set WATTWIRE_MQTT_PORT in pods otherwise.
        assert spec["enableServiceLinks"] is False
        assert container["resources"]["limits"]["memory"]


@every_set
def test_what_is_written_is_mounted(manifests, values):
    """Paths of the settings and of the command lie in volumes; secrets are mounted read-only."""
    plain = of_kind(manifests[values], "ConfigMap")["hub-wattwire"]["data"]
    paths = [value for name, value in plain.items() if name.endswith("_FILE")]
    for name, deployment in of_kind(manifests[values], "Deployment").items():
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        mounts = {m["mountPath"]: m for m in container["volumeMounts"]}
        data = next(e["value"] for e in container["env"] if e["name"] == "WATTWIRE_DATA_DIR")
        for path in [*paths, data, container["args"][-1]]:
            inside = [m for m in mounts if path.startswith(f"{m}/")]
            assert inside, (name, path)
            assert mounts[inside[0]].get("readOnly", False) == path.startswith("/etc/")


@every_set
def test_services_find_their_pods(manifests, values):
    """A Service's selector matches the pods that play its role, which have the port it names."""
    found = manifests[values]
    for name, role in (("hub-wattwire", "api"), ("hub-wattwire-mqtt", "door")):
        service = of_kind(found, "Service")[name]["spec"]
        hit = {
            n: d["spec"]["template"]
            for n, d in of_kind(found, "Deployment").items()
            if service["selector"].items() <= d["spec"]["template"]["metadata"]["labels"].items()
        }
        wanted = {
            n
            for n, d in of_kind(found, "Deployment").items()
            if role in d["spec"]["template"]["spec"]["containers"][0]["args"][2].split(",")
        }

        assert set(hit) == wanted
        for pod in hit.values():
            ports = {p["name"] for p in pod["spec"]["containers"][0]["ports"]}
            assert {p["targetPort"] for p in service["ports"]} <= ports


@every_set
def test_deployments_and_budgets_select_their_own(manifests, values):
    """Selectors match the pods of one Deployment each, and the migration's of none."""
    found = manifests[values]
    budgets = of_kind(found, "PodDisruptionBudget")
    for kind in (of_kind(found, "Deployment"), budgets):
        for name, document in kind.items():
            selector = document["spec"]["selector"]["matchLabels"]
            hit = [
                n
                for n, pod in pods(found).items()
                if selector.items() <= pod["metadata"]["labels"].items()
            ]
            assert [name] == hit
    assert set(budgets) in (set(), set(of_kind(found, "Deployment")))


@every_set
def test_probes_ask_what_is_there(manifests, values):
    """The API by /healthz and /readyz; the others by the image's health check."""
    for deployment in of_kind(manifests[values], "Deployment").values():
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        if "api" in container["args"][2].split(","):
            assert "/healthz" == container["livenessProbe"]["httpGet"]["path"]
            assert container["readinessProbe"]["httpGet"]["path"] in {"/readyz", "/healthz"}
            assert "http" == container["readinessProbe"]["httpGet"]["port"]
        else:
            command = container["readinessProbe"]["exec"]["command"]
            dockerfile = (INFRA / "hub" / "Dockerfile").read_text()
            assert str(command[:2]).replace("'", '"')[1:-1] in dockerfile
            assert command[-1] == container["args"][-1]


def test_the_migration_comes_first(manifests):
    """A hook before installation and upgrade, on a database alone: the chart is not there yet."""
    job = of_kind(manifests["default"], "Job")["hub-wattwire-migrate"]
    spec = job["spec"]["template"]["spec"]

    assert "pre-install,pre-upgrade" == job["metadata"]["annotations"]["helm.sh/hook"]
    assert loaded("hub")["services"]["migrate"]["command"] == spec["containers"][0]["args"]
    assert "envFrom" not in spec["containers"][0]
    assert "serviceAccountName" not in spec
    assert {} == of_kind(manifests["bare"], "Job")


def test_the_example_is_reached(manifests):
    """Ingress and load balancer lead to the Services; the policies let in what they should."""
    found = manifests["example"]
    ingress = of_kind(found, "Ingress")["hub-wattwire"]["spec"]
    backend = ingress["rules"][0]["http"]["paths"][0]["backend"]["service"]
    policies = of_kind(found, "NetworkPolicy")

    assert backend["name"] in of_kind(found, "Service")
    assert [ingress["rules"][0]["host"]] == ingress["tls"][0]["hosts"]
    assert "LoadBalancer" == of_kind(found, "Service")["hub-wattwire-mqtt"]["spec"]["type"]
    assert "ingress" not in policies["hub-wattwire"]["spec"], "nobody, unless another lets them in"
    assert 2 == len(policies["hub-wattwire-api"]["spec"]["ingress"][0]["from"])
    assert "from" not in policies["hub-wattwire-mqtt"]["spec"]["ingress"][0]


def changed(path, value):
    """The default values with one changed: what would be given with --set."""
    result = {}
    inner = result
    *way, last = path.split("/")
    for key in way:
        inner = inner.setdefault(key, {})
    inner[last] = value
    return result


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("durability", "always", "durability"),
        ("partitions", 0, "partitions"),
        ("partitions", "4", "partitions"),
        ("groups/pipeline/replicas", -1, "replicas"),
        ("groups/api/roles", ["console"], "roles"),
        ("groups/door/replicas", 2, "runs once"),
        ("groups/second", {"roles": ["api"], "replicas": 1, "resources": {}}, "two groups"),
        ("groups/sources", None, "no group plays the role sources"),
        ("settings/LOG_LEVEL", "debug", "LOG_LEVEL"),
        ("settings/WATTWIRE_DATABASE_URL", "postgresql://…", "is a secret"),
        ("mqtt/tlsSecret", "", "tlsSecret"),
        ("mqtt/service/port", 70000, "port"),
        ("http/readinessPath", "/", "readinessPath"),
        ("ingress/enabled", True, "ingress.host"),
        ("secrets/sealingKey/name", None, "name"),
        ("image/pullPolicy", "Sometimes", "pullPolicy"),
        ("replicas", 3, "replicas"),
    ],
)
def test_wrong_values_are_refused(helm, path, value, said):
    """By the schema or by a sentence, before anything is sent to a cluster."""
    answer = helm.ask("render", changed(path, value))

    assert isinstance(answer, str), "it was rendered"
    assert said in answer


def test_the_schema_describes_every_value():
    """Each default is in the schema, and the schema allows nothing else at the top."""
    import json

    schema = json.loads((CHART / "values.schema.json").read_text())

    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(DEFAULTS)
    assert set(DEFAULTS) == set(schema["properties"]) - {"global"}


def test_nats_is_what_compose_makes_of_it():
    """The values for NATS' own chart say what the nodes of the compose file are told."""
    values = yaml.safe_load((CHART / "nats-values.yaml").read_text())["config"]
    text = (INFRA / "hub" / "nats" / "nats.conf").read_text()

    assert 3 == values["cluster"]["replicas"]
    assert f"sync_interval: {values['jetstream']['merge']['sync_interval']}" in text
    assert f"max_payload: {values['merge']['max_payload'].strip('<> ')}" in text
    assert f"user: {values['merge']['authorization']['user']}" in text
    assert "$NATS_PASSWORD" in values["merge"]["authorization"]["password"]
