"""paho-mqtt by itself: QoS 1, its own thread, the same window, to the same receiver."""

import asyncio
import os
import threading
import time

import psutil
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.receivers import receiver
from benchmarks.report import Figure, Usage
from benchmarks.usage import pss_mb
from benchmarks.yardsticks.remembered import once

BODY = b'{"event":"device.telemetry","data":{"values":{"active_power_w":12345}}}' + b" " * 400
WAITING = 1000  # publishes given to paho and not yet acknowledged


@once
async def messages(options, *, in_flight):
    """Messages per second that are acknowledged, nothing kept."""
    seconds = 2 if options.quick else 8
    async with receiver("mqtt") as target:
        spent, started = time.process_time(), time.perf_counter()
        done = await asyncio.to_thread(_publish, target.port, in_flight, seconds)
        took, spent = time.perf_counter() - started, time.process_time() - spent
    usage = Usage(spent, took, pss_mb([psutil.Process(os.getpid())]))
    return Figure(f"paho alone, {in_flight} in flight", done / took, "messages/s", usage)


def _publish(port, in_flight, seconds):
    done, room = 0, threading.Semaphore(WAITING)

    def acknowledged(*_):
        nonlocal done
        done += 1
        room.release()

    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_publish = acknowledged
    client.max_inflight_messages_set(in_flight)
    client.connect("127.0.0.1", port)
    client.loop_start()
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        room.acquire()
        client.publish("bench/topic", BODY, qos=1)
    client.disconnect()
    client.loop_stop()
    return done
