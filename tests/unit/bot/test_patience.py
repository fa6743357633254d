"""Patience: a limit that can be cut short while it runs."""

import asyncio

import pytest

from vexa_bot.patience import Patience


async def wait_for_ever(patience: Patience) -> None:
    async with patience.bounded():
        await asyncio.Event().wait()


async def test_hurrying_cuts_a_running_step_short() -> None:
    """A supervisor's stop does not wait for the half hour that a user's stop would."""
    patience = Patience(limit_s=60.0, hurried_s=0.01)
    step = asyncio.create_task(wait_for_ever(patience))
    asyncio.get_running_loop().call_soon(patience.hurry)

    with pytest.raises(TimeoutError):
        await step


async def test_steps_after_a_hurry_are_short_from_the_start() -> None:
    """Each step has the short limit for itself."""
    patience = Patience(limit_s=60.0, hurried_s=0.01)
    patience.hurry()

    with pytest.raises(TimeoutError):
        await wait_for_ever(patience)
