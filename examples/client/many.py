"""Many questions at once, with asyncio. A busy server is asked again. Against `omnipipe serve examples/echo.yaml`."""

import asyncio
import os

from omnipipe.client import AsyncOmnipipeClient, TimeLimits


async def main() -> None:
    url = os.environ.get("OMNIPIPE_URL", "http://localhost:8000")
    async with AsyncOmnipipeClient(url, timeout=TimeLimits(total=60, silence=30), max_retries=5) as client:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.chat(f"Question {number}")) for number in range(16)]
        print(*(task.result().text for task in tasks), sep="\n")

        async for event in client.stream(text="Enough of this"):
            print(event)
            break  # closes the connection: the server drops the rest


asyncio.run(main())
