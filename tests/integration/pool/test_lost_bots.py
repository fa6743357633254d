"""What a worker has heard of a bot that is gone, and nobody replays."""

import numpy as np
import redis.asyncio as redis

from tests_support import *  # noqa
