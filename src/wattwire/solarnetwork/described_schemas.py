"""What this face takes and gives, as the schemas of its OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final

from wattwire.api.fields import BIGINT
from wattwire.solarnetwork.bulk_upload import MAX_DATUMS, MAX_SOURCE

Schema = dict[str, Any]

_INSTANT: Final = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?Z$",
    "description": "An instant in UTC; the fraction only where there is one.",
    "examples": ["2020-06-01 12:00:00Z"],
}
_LOCAL: Final = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?$",
    "description": "A date and time in the zone of the node.",
    "examples": ["2020-06-01 12:00:00"],
}
_NODE: Final = {
    "type": "integer",
    "description": "The node: the number of a device.",
    "examples": [1],
}
_SOURCE: Final = {
    "type": "string",
    "description": "The source: the path of a stream.",
    "examples": ["/power/1"],
}
_COUNT: Final = {"type": "integer", "minimum": 0}


def ref(name: str) -> Schema:
    """Return a reference to one of the schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Mapping[str, Any]) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def _text(description: str, example: Any = None, **more: Any) -> Schema:
    shown = {} if example is None else {"examples": [example]}
    return {"type": "string", "description": description, **more, **shown}


def _object(
    description: str, properties: Schema, *, optional: tuple[str, ...] = (), rest: Any = False
) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": rest,
    }


def _whole(description: str, example: int) -> Schema:
    return {"type": "integer", "description": description, "examples": [example]}


_HOOK_FIELDS: Final[Schema] = {
    "name": _text("What it is called.", "SQS Test", maxLength=64),
    "topic": _text("The topic of the events it is for.", "datum/agg/update", maxLength=100),
    "serviceIdentifier": _text(
        "The service that takes the events; see the list of services.",
        "net.solarnetwork.central.user.event.dest.sqs.SqsUserNodeEventHookService",
        maxLength=128,
    ),
    "nodeIds": {
        "type": ["array", "null"],
        "items": {"type": "integer", "minimum": -BIGINT, "maximum": BIGINT},
        "maxItems": 10_000,
        "description": "Only events of these nodes; left out: of every node.",
        "examples": [[1]],
    },
    "sourceIds": {
        "type": ["array", "null"],
        "items": {"type": "string", "minLength": 1, "maxLength": 64},
        "maxItems": 100,
        "description": "Only events of these sources or patterns; left out: of every source.",
        "examples": [["/power/1"]],
    },
    "serviceProperties": {
        "type": ["object", "null"],
        "description": "The settings of the service. Of secrets that are left out, empty, or sent "
        "as a digest, an update keeps the stored value; without any properties it removes all.",
        "examples": [
            {
                "region": "us-west-2",
                "queueName": "node-event-dest-test",
                "accessKey": "AAAAAAA555555555FFFF",
                "secretKey": "super.secret.key.here",
            }
        ],
    },
}
_HOOK_OPTIONAL: Final = ("nodeIds", "sourceIds", "serviceProperties")
_POSTED_ID: Final = {
    "type": ["integer", "null"],
    "description": "The hook to replace; left out, one is created.",
    "maximum": BIGINT,
    "minimum": -BIGINT,
}


def _answered(field: Schema) -> Schema:
    """Return a field as answers have it: null ones are left out."""
    kind = field["type"]
    kept = {k: v for k, v in field.items() if k not in {"maxItems", "maxLength"}}
    return {**kept, "type": kind[0] if isinstance(kind, list) else kind}


_MASKED: Final[Schema] = {
    "type": "object",
    "description": "The settings of the service; secrets as digests under a new salt each time.",
    "examples": [{"region": "us-west-2", "secretKey": "{SSHA-256}YRDfTtemkw5iMXETEjZVE4ANcQUJ/B…"}],
}
_SPECIFIER: Final[Schema] = {
    "type": "object",
    "description": "One setting of a service, as forms are drawn from.",
    "properties": {
        "key": _text("Its name among the service's properties.", "region"),
        "defaultValue": {
            "type": ["string", "boolean"],
            "description": "What it is when left out.",
            "examples": [""],
        },
        "trueValue": {"const": True, "description": "Of a toggle."},
        "falseValue": {"const": False, "description": "Of a toggle."},
        "secureTextEntry": {
            "type": "boolean",
            "description": "Whether it is a secret.",
            "examples": [False],
        },
        "transient": {"const": False, "description": "Whether it is not kept."},
        "type": _text(
            "What it is drawn as.",
            "net.solarnetwork.settings.TextFieldSettingSpecifier",
            pattern=r"^net\.solarnetwork\.settings\.(TextField|MultiValue|Toggle)SettingSpecifier$",
        ),
        "valueTitles": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "What may be chosen.",
            "examples": [{"at_most_once": "at_most_once"}],
        },
    },
    "required": ["key", "defaultValue", "transient", "type"],
    "additionalProperties": False,
}
_LOCALIZED: Final[Schema] = {
    "locale": _text("The language of the texts.", "en"),
    "localizedName": _text("Its name.", "Aggregate Updated"),
    "localizedDescription": _text("What it is.", "Event triggered when …"),
}


def _named(what: str, kind: str, name: str, value: Any) -> Schema:
    return {
        "type": "object",
        "description": f"{what}, by name.",
        "additionalProperties": {"type": [kind, "null"]},
        "examples": [{name: value}],
    }


_SAMPLES: Final[Schema] = {
    "i": _named("Levels", "number", "watts", 231),
    "a": _named("Registers", "number", "wattHours", 1000),
    "s": _named("Texts", "string", "state", "on"),
    "t": {
        **array({"type": "string"}),
        "description": "Tags; the hub keeps none.",
        "examples": [[]],
    },
}
_CREATED: Final = {
    "type": ["integer", "string"],
    "description": "When it was taken: milliseconds since 1970, or a date in UTC.",
    "examples": [1591012800000],
}
_RESULT: Final[Schema] = {
    "created": _INSTANT,
    "nodeId": _NODE,
    "sourceId": _SOURCE,
    "localDate": _text(
        "The date in the zone of the node.", "2020-06-01", pattern=r"^\d{4}-\d\d-\d\d$"
    ),
    "localTime": _text("The time of day in that zone.", "12:00", pattern=r"^\d\d:\d\d$"),
}
_END: Final[Schema] = {
    "endDate": _INSTANT,
    "timeZone": _text("The zone of the node.", "UTC"),
    "localEndDate": _LOCAL,
}


def _page(items: str) -> Schema:
    return _object(
        "A page of results.",
        {
            "totalResults": {
                **_COUNT,
                "description": "How many there are in all.",
                "examples": [1],
            },
            "startingOffset": {
                **_COUNT,
                "description": "How many were passed over.",
                "examples": [0],
            },
            "returnedResultCount": {**_COUNT, "description": "How many follow.", "examples": [1]},
            "results": {**array(ref(items)), "description": "In the order asked for."},
        },
        optional=("totalResults",),
    )


SCHEMAS: Final[dict[str, Schema]] = {
    "Refusal": _object(
        "Every error looks like this.",
        {
            "success": {"const": False, "description": "That it did not work."},
            "code": _text("SolarNetwork's code, where it has one.", "VAL.00003"),
            "message": _text("What is wrong.", "Bad credentials"),
            "errors": {
                **array(ref("Fault")),
                "minItems": 1,
                "description": "The parameters that do not fit.",
            },
        },
        optional=("code", "errors"),
    ),
    "Fault": _object(
        "A parameter that does not fit.",
        {
            "location": _text("Its name.", "aggregation"),
            "code": _text("What rule it breaks.", "invalid"),
            "rejectedValue": _text("What it was.", "Fortnight"),
            "message": _text("What is wrong with it.", "unknown aggregation 'Fortnight'"),
        },
        optional=("rejectedValue",),
    ),
    "Hook": _object(
        "An event hook.",
        {
            "id": _whole("Its number.", 1),
            "userId": _whole("SolarNetwork's number of whom it belongs to.", 1),
            "created": _INSTANT,
            **{name: _answered(field) for name, field in _HOOK_FIELDS.items()},
            "serviceProperties": _MASKED,
        },
        optional=_HOOK_OPTIONAL,
    ),
    "PostedHook": _object(
        "An event hook to be saved; other members are ignored.",
        {"id": _POSTED_ID, **_HOOK_FIELDS},
        optional=("id", *_HOOK_OPTIONAL),
        rest=True,
    ),
    "Topic": _object(
        "A topic of events.", {"id": _text("Its id.", "datum/agg/update"), **_LOCALIZED}
    ),
    "Service": _object(
        "A service that takes events.",
        {
            "id": _text("Its id.", "webhook"),
            **_LOCALIZED,
            "localizedInfoMessages": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Names (`key.key`) and help (`key.desc`) of the settings.",
                "examples": [{"region.key": "Region"}],
            },
            "settingSpecifiers": {**array(ref("Specifier")), "description": "Its settings."},
        },
    ),
    "Specifier": _SPECIFIER,
    "Identity": _object(
        "Whose token it is.",
        {
            "userId": _whole("SolarNetwork's number of whom it belongs to.", 1),
            "token": _text("The token's id.", "aB3dE6gH9jK2mN5pQ8sT"),
            "tokenType": _text("What it may do.", "User", enum=["User", "ReadNodeData"]),
        },
    ),
    "NodeSource": _object("A source of a node.", {"nodeId": _NODE, "sourceId": _SOURCE}),
    "Interval": _object(
        "Between which dates there are readings.",
        {
            "timeZone": _text("The zone of the node.", "UTC"),
            "startDate": _LOCAL,
            "endDate": _LOCAL,
            "startDateMillis": _whole("The first, in milliseconds since 1970.", 1591012800000),
            "endDateMillis": _whole("The last, likewise.", 1591016400000),
            "dayCount": _whole("Days, begun ones included.", 1),
            "monthCount": _whole("Months, likewise.", 1),
            "yearCount": _whole("Years, likewise.", 1),
        },
    ),
    "Datum": _object(
        "A reading or an aggregate: levels, registers and texts by their names. Of an aggregate "
        "the mean of a level, with _min and _max, and what a register rose by.",
        _RESULT,
        rest={"type": ["number", "string"]},
    ),
    "Reading": _object(
        "What registers rose by, with _start and _end, or were at a date.",
        {**_RESULT, **_END},
        optional=tuple(_END),
        rest={"type": ["number", "string"]},
    ),
    "DatumPage": _page("Datum"),
    "ReadingPage": _page("Reading"),
    "NodeDatum": _object(
        "A datum of a source; its properties may also lie under `samples`.",
        {
            "nodeId": {**_NODE, "type": ["integer", "null"], "minimum": 1, "maximum": BIGINT},
            "created": _CREATED,
            "sourceId": {**_SOURCE, "minLength": 1, "maxLength": MAX_SOURCE},
            **_SAMPLES,
        },
        optional=("nodeId", "created", *_SAMPLES),
        rest=True,
    ),
    "StreamDatum": {
        "type": "array",
        "description": "A datum of a stream: milliseconds, both halves of the stream's id, the "
        "values of levels, registers and texts in the order of the stream, tags.",
        "minItems": 3,
        "maxItems": 7,
        "prefixItems": [
            {"type": "integer"},
            {"type": "integer"},
            {"type": "integer"},
            array({"type": ["number", "null"]}),
            array({"type": ["number", "null"]}),
            array({"type": ["string", "null"]}),
            array({"type": "string"}),
        ],
        "items": False,
        "examples": [[1591012800000, 123, 456, [231], [1000], [], []]],
    },
    "InstructionStatus": _object(
        "The outcome of an instruction; the hub gives none, and passes it over.",
        {
            "__type__": {"const": "InstructionStatus", "description": "What it is."},
            "instructionId": {
                "type": ["integer", "string"],
                "description": "Which.",
                "examples": [1],
            },
            "state": _text("Its outcome.", "Completed"),
        },
        optional=("instructionId", "state"),
        rest=True,
    ),
    "Upload": {
        **array({"anyOf": [ref("NodeDatum"), ref("StreamDatum"), ref("InstructionStatus")]}),
        "description": "Datums, each taken or left on its own.",
        "maxItems": MAX_DATUMS,
    },
    "TakenDatum": _object(
        "The identity of a datum that is durable now.",
        {
            "kind": {"const": "n", "description": "That it is of a node."},
            "nodeId": _NODE,
            "objectId": {**_NODE, "description": "The same."},
            "sourceId": _SOURCE,
            "created": _INSTANT,
            "timestamp": _INSTANT,
        },
    ),
    "TakenStreamDatum": _object(
        "The identity of a datum that came under the id of its stream.",
        {"streamId": _text("Which stream.", format="uuid"), "timestamp": _INSTANT},
    ),
    "Taken": _object(
        "What is durable now, in the order it came.",
        {
            "datum": {
                **array({"oneOf": [ref("TakenDatum"), ref("TakenStreamDatum")]}),
                "description": "What was taken.",
            },
            "instructions": {
                **array({}),
                "maxItems": 0,
                "description": "None: the hub gives none.",
                "examples": [[]],
            },
        },
    ),
}
