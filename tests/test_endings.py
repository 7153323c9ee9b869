"""Tasks end when they are told to, though a library loses what they were told."""

import asyncio

import pytest

from wattwire.endings import end


async def test_a_swallowed_cancellation_is_repeated():
    """Tidying up after the second one is waited for; nothing runs on."""
    heard = []

    async def deaf():
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                heard.append("told")
        await asyncio.sleep(0)
        heard.append("tidied up")

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await end(task, again_seconds=0.01)

    assert ["told", "told", "tidied up"] == heard
    assert task.done()


async def test_what_wait_for_swallows():
    """The race of Python before 3.12: what is waited for is there, and so is the cancellation."""
    there = asyncio.Event()

    async def wait_and_go_on():
        await asyncio.wait_for(there.wait(), 60)
        await asyncio.Event().wait()

    task = asyncio.create_task(wait_and_go_on())
    await asyncio.sleep(0)
    there.set()
    await asyncio.sleep(0)
    await end(task, again_seconds=0.01)

    assert task.cancelled()


async def test_a_task_has_time_to_tidy_up():
    """One cancellation is enough for one that listens."""
    steps = []

    async def careful():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            steps.append("tidied up")

    task = asyncio.create_task(careful())
    await asyncio.sleep(0)
    await end(task)

    assert ["tidied up"] == steps
    assert task.cancelled()


async def test_what_does_not_end_is_told(capsys):
    """After its time the others are not kept waiting, and the log has its name."""
    over = asyncio.Event()

    async def stubborn():
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    await end(task, seconds=0.05, again_seconds=0.01)
    told = capsys.readouterr().out
    over.set()
    await task

    assert "endings.tasks_left" in told
    assert "stubborn" in told


@pytest.mark.parametrize("count", [0, 1])
async def test_what_has_ended_is_left_alone(count):
    """Also when it failed: that is for whoever owns it to see."""

    async def fail():
        raise ValueError("mine")

    tasks = [asyncio.create_task(fail()) for _ in range(count)]
    await asyncio.sleep(0)
    await end(*tasks)

    assert ["mine"] * count == [str(task.exception()) for task in tasks]
