"""What the emulator cannot be made to do: apply a call and lose its answer."""

import urllib.request

from integrations_counterparts import Reply

HOP = frozenset({"host", "content-length", "connection", "accept-encoding"})


def forward(moto, request):
    """Send a request on to the emulator, as it came; return its answer."""
    headers = {name: value for name, value in request.headers.items() if name not in HOP}
    sent = urllib.request.Request(
        f"{moto}{request.target}", data=request.body, headers=headers, method=request.method
    )
    with urllib.request.urlopen(sent, timeout=10) as answer:
        told = {n: v for n, v in answer.headers.items() if n.lower() in {"etag", "content-type"}}
        return Reply(answer.status, answer.read(), told)


def applied_and_lost(moto, times=1):
    """A reply for FaultServer: the first calls do their work, and hang up instead of an answer."""
    left = iter(range(times))

    def reply(request):
        answer = forward(moto, request)
        return Reply(cut=True) if next(left, None) is not None else answer

    return reply
