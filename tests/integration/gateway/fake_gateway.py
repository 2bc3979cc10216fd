"""A gateway process over a scripted pipeline, for clients that cannot share the test's event loop. Prints its port."""

import asyncio

from tests.integration.gateway.serving import fake_served, serving

from omnipipe.coordinator.fake import text_script
from omnipipe.gateway.settings import GatewaySettings


async def main() -> None:
    served, _ = fake_served(text_script(["hello ", "there"]), "echo")
    async with serving([served], GatewaySettings(port=0, access_log=False, api_keys=("secret",))) as running:
        print(running.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
