"""The objects of a simulated PowerMonitor 500 that answer CIP requests: nothing here is settable.

    class 1  identity, instance 1
    class 4  assemblies 100 to 108: attribute 3 is the data, 4 their size in bytes
    class 6  connection manager: Forward Open and Forward Close of class 3 connections

Order of the checks: class, instance, service, attribute. Implicit I/O (class 1 connections) is left
out: a Forward Open of one is refused with "transport not supported".
"""

import struct
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Final

from wattwire.formats import cip
from wattwire.formats.cip import Request, Response
from wattwire.formats.encapsulation import encode_attributes
from wattwire.simulate.power_monitor_500 import INSTANCES, PowerMonitor500

MAX_CONNECTIONS: Final = 18

_UINT: Final = struct.Struct("<H")
# priority, ticks, O->T id, T->O id, serial, vendor, originator's serial, multiplier, reserved
_OPEN_HEAD: Final = struct.Struct("<BBIIHHIB3x")
_OPEN_TAILS: Final = {  # interval and parameters each way, transport, length of path
    cip.FORWARD_OPEN: struct.Struct("<IHIHBB"),
    cip.LARGE_FORWARD_OPEN: struct.Struct("<IIIIBB"),
}
_OPENED: Final = struct.Struct("<IIHHIIIBx")
_CLOSE: Final = struct.Struct("<BBHHIBx")
_CLOSED: Final = struct.Struct("<HHIBx")
_TRANSPORT_CLASS: Final = 0x0F
_EXPLICIT: Final = 3
_IN_USE, _NO_SUCH_TRANSPORT, _NOT_FOUND, _NO_MORE = 0x0100, 0x0103, 0x0107, 0x0113

Triad = tuple[int, int, int]  #: connection serial, vendor and serial of the originator


@dataclass(slots=True)
class Connections:
    """The open connections of a device, by the id that its clients send to."""

    answers_to: dict[int, int] = field(default_factory=dict)  #: the id that answers are sent to
    triads: dict[Triad, int] = field(default_factory=dict)
    ids: "count[int]" = field(default_factory=lambda: count(0x1000))

    def drop(self, ids: set[int]) -> None:
        """Forget connections, as when their TCP connection ends."""
        for number in ids:
            self.answers_to.pop(number, None)
        self.triads = {triad: number for triad, number in self.triads.items() if number not in ids}


@dataclass(slots=True)
class Objects:
    """What answers requests that come over one TCP connection."""

    device: PowerMonitor500
    connections: Connections
    opened: set[int] = field(default_factory=set)  #: connections that were opened over it

    def answer(self, request: Request) -> Response:
        """Return what comes of a request."""
        if request.class_id == cip.ASSEMBLY_CLASS:
            return _assembly(self.device, request)
        if request.class_id == cip.IDENTITY_CLASS:
            return _identity(self.device, request)
        if request.class_id == cip.CONNECTION_MANAGER_CLASS and request.instance == 1:
            return self._connection_manager(request)
        return _refusal(request, cip.PATH_DESTINATION_UNKNOWN)

    def _connection_manager(self, request: Request) -> Response:
        if request.service in _OPEN_TAILS:
            return self._open(request)
        if request.service == cip.FORWARD_CLOSE:
            return self._close(request)
        return _refusal(request, cip.SERVICE_NOT_SUPPORTED)

    def _open(self, request: Request) -> Response:
        tail = _OPEN_TAILS[request.service]
        if len(request.data) < _OPEN_HEAD.size + tail.size:
            return _refusal(request, cip.NOT_ENOUGH_DATA)
        _, _, _, answers_to, *numbers, _ = _OPEN_HEAD.unpack_from(request.data)
        triad = (numbers[0], numbers[1], numbers[2])
        out, _, back, _, transport, _ = tail.unpack_from(request.data, _OPEN_HEAD.size)
        if transport & _TRANSPORT_CLASS != _EXPLICIT:
            return _refusal(request, cip.CONNECTION_FAILURE, _NO_SUCH_TRANSPORT)
        if triad in self.connections.triads:
            return _refusal(request, cip.CONNECTION_FAILURE, _IN_USE)
        if len(self.connections.triads) >= MAX_CONNECTIONS:
            return _refusal(request, cip.CONNECTION_FAILURE, _NO_MORE)
        number = next(self.connections.ids)
        self.connections.answers_to[number] = answers_to
        self.connections.triads[triad] = number
        self.opened.add(number)
        opened = _OPENED.pack(number, answers_to, *triad, out, back, 0)
        return Response(request.service, data=opened)

    def _close(self, request: Request) -> Response:
        if len(request.data) < _CLOSE.size:
            return _refusal(request, cip.NOT_ENOUGH_DATA)
        _, _, *numbers, _ = _CLOSE.unpack_from(request.data)
        triad = (numbers[0], numbers[1], numbers[2])
        number = self.connections.triads.get(triad)
        if number is None:
            return _refusal(request, cip.CONNECTION_FAILURE, _NOT_FOUND)
        self.connections.drop({number})
        self.opened.discard(number)
        return Response(request.service, data=_CLOSED.pack(*triad, 0))


def _refusal(request: Request, status: int, *extended: int) -> Response:
    return Response(request.service, status, extended)


def _assembly(device: PowerMonitor500, request: Request) -> Response:
    if request.instance == 0:
        of_class = {1: 2, 2: INSTANCES[-1], 3: len(INSTANCES)}  # revision, highest, how many
        return _attribute(request, {n: _UINT.pack(value) for n, value in of_class.items()})
    data = device.assembly(request.instance)
    if data is None:
        return _refusal(request, cip.PATH_DESTINATION_UNKNOWN)
    attributes = {cip.ASSEMBLY_DATA: data, cip.ASSEMBLY_SIZE: _UINT.pack(len(data))}
    return _attribute(request, attributes)


def _identity(device: PowerMonitor500, request: Request) -> Response:
    identity = device.model.identity
    everything = encode_attributes(identity)
    if request.instance == 0:
        return _attribute(request, dict.fromkeys((1, 2, 3), _UINT.pack(1)))
    if request.instance != 1:
        return _refusal(request, cip.PATH_DESTINATION_UNKNOWN)
    if request.service == cip.GET_ATTRIBUTES_ALL:
        return Response(request.service, data=everything)
    ends = (0, 2, 4, 6, 8, 10, 14, len(everything))
    parts = [everything[begin:end] for begin, end in pairwise(ends)]
    return _attribute(request, dict(enumerate(parts, 1)))


def _attribute(request: Request, attributes: dict[int, bytes]) -> Response:
    """Answer a request for one of these attributes, none of which can be set."""
    if request.service not in (cip.GET_ATTRIBUTE_SINGLE, cip.SET_ATTRIBUTE_SINGLE):
        return _refusal(request, cip.SERVICE_NOT_SUPPORTED)
    if request.attribute not in attributes:
        return _refusal(request, cip.ATTRIBUTE_NOT_SUPPORTED)
    if request.service == cip.SET_ATTRIBUTE_SINGLE:
        return _refusal(request, cip.ATTRIBUTE_NOT_SETTABLE)
    return Response(request.service, data=attributes[request.attribute])
