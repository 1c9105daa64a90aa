# SPDX-License-Identifier: MIT
"""tasks - the one AsyncTasQ task."""
import os
import sys
from pathlib import Path

from asynctasq import AsyncTask

sys.path.append(str(Path(__file__).resolve().parent.parent))
import driver  # noqa: E402

marks = driver.Marks(os.environ["JOBS_MARKS"])


class Noop(AsyncTask):
    number: int

    async def execute(self):
        marks.start(self.number)
