"""The flow as a file: what people import, and what it may not hold."""

import json
import re

import pytest
from node_red_world import FLOW, HOME, example

NODES = json.loads(FLOW.read_text())
BY_ID = {node["id"]: node for node in NODES}
FUNCTIONS = [node for node in NODES if node["type"] == "function"]
CODE = "".join(node["func"] + node["initialize"] + node["finalize"] for node in FUNCTIONS)
PARTS = {"func": "message", "initialize": "start", "finalize": "stop"}
#: Variables that the flow makes of others.
OWN = [variable for node in NODES for variable in node.get("env", ())]
SETTINGS = (HOME / "settings.js").read_text()
#: Properties that hold the id of another node.
LINKS = ("z", "broker", "tls")


@pytest.mark.parametrize("node", FUNCTIONS, ids=lambda node: node["name"])
def test_the_code_in_the_flow_is_that_in_its_files(node):
    """`npm run build` was run after the last change of a function."""
    name = node["name"].lower().replace(" ", "-")
    for field, part in PARTS.items():
        file = HOME / "functions" / f"{name}.{part}.js"
        assert node[field] == (file.read_text().rstrip() if file.exists() else ""), file.name


def test_no_file_of_a_function_is_left_over():
    """Each file in `functions/` is a part of a function of the flow."""
    names = {node["name"].lower().replace(" ", "-") for node in FUNCTIONS}

    assert names == {file.name.split(".")[0] for file in (HOME / "functions").iterdir()}


@pytest.mark.parametrize("label", ["Format Sparkplug Payload", "Format Influx Body"])
def test_what_is_to_be_edited_is_found_by_its_label(label):
    """There is one function node with this label, and it is on the way from the poll node."""
    (node,) = [node for node in FUNCTIONS if node["name"] == label]

    assert node["id"] in BY_ID["pm500-poll"]["wires"][0]


def test_every_wire_ends_at_a_node():
    """Ids are unique, and wires and references lead to nodes that are there."""
    wired = {end for node in NODES for output in node.get("wires", ()) for end in output}
    linked = {node[name] for node in NODES for name in LINKS if node.get(name) in BY_ID}
    meant = {
        node[name] for node in NODES for name in LINKS
        if node.get(name, "").startswith("pm500-")
    }  # fmt: skip

    assert len(NODES) == len(BY_ID)
    assert wired <= BY_ID.keys()
    assert meant == linked


def test_every_node_of_the_way_is_wired():
    """No node that takes messages is without one that sends them, but for the Catch node."""
    wired = {end for node in NODES for output in node.get("wires", ()) for end in output}
    alone = {node["id"] for node in NODES if "wires" in node} - wired

    assert {"comment", "inject", "catch"} == {BY_ID[name]["type"] for name in alone}


def test_logins_are_names_of_variables():
    """All credentials in the flow are `${…}`; nobody else's certificate is trusted."""
    given = [value for node in NODES for value in node.get("credentials", {}).values()]

    assert ["${BROKER_USERNAME}", "${BROKER_PASSWORD}"] == given
    assert all(node["verifyservercert"] for node in NODES if node["type"] == "tls-config")


def test_nothing_of_one_machine_is_in_the_flow():
    """No absolute path, no address, no host name and no key stands in it."""
    text = FLOW.read_text()

    assert not re.search(r'"/(?!/)|[A-Z]:\\\\|/(home|root|usr|var|tmp|work)/', text)
    assert not re.search(r"\b\d{1,3}(\.\d{1,3}){3}\b|localhost|https?://\w", text)
    assert not re.search(r"(?i)(password|token|secret)\W{1,4}[A-Za-z0-9+/=_-]{12,}", CODE)


def test_every_variable_is_explained():
    """The variables of `.env.example` are those that the flow and the settings read, no others."""
    read = set(re.findall(r"""(?:text|bounded)\("([A-Z_]+)\"""", CODE))
    read |= set(re.findall(r'"\$\{([A-Z_]+)\}"', FLOW.read_text()))
    read |= set(re.findall(r'\$env\("([A-Z_]+)"\)', " ".join(o["value"] for o in OWN)))
    read |= set(re.findall(r"env\.([A-Z_]+)", SETTINGS))

    assert example().keys() == read - {variable["name"] for variable in OWN}


def test_no_secret_is_in_the_example():
    """Whatever is secret is left empty there, and `.env` is not taken along."""
    variables = example()
    secret = [name for name in variables if re.search("PASSWORD|TOKEN|SECRET|HASH", name)]

    assert {""} == {variables[name] for name in secret}
    assert ".env" in (HOME / ".gitignore").read_text().splitlines()


def test_the_editor_is_for_this_machine():
    """Settings bind to loopback, hold no key, and let nothing be installed at run time."""
    assert 'uiHost: "127.0.0.1"' in SETTINGS
    assert re.search(r"credentialSecret: env\.", SETTINGS)
    assert 3 == len(re.findall(r"(?:autoInstall|allowInstall): false", SETTINGS))


def test_packages_are_locked():
    """Node-RED has one exact version, and the lock names no address to download from."""
    wanted = json.loads((HOME / "package.json").read_text())
    lock = json.loads((HOME / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}

    assert all(re.fullmatch(r"\d+\.\d+\.\d+", v) for v in wanted["dependencies"].values())
    assert not any("resolved" in entry for entry in packages.values())
    assert all("integrity" in entry or entry.get("inBundle") for entry in packages.values())
