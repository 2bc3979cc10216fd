"""A gateway process over scripted pipelines, for clients that cannot share the test's event loop. Prints its port."""

import asyncio

from tests.integration.gateway.rich import OUTPUTS, RichRequests, rich_script
from tests.integration.gateway.serving import fake_served, serving

from omnipipe.coordinator.fake import Script, text_script
from omnipipe.coordinator.flight import OmniRequest, Piece
from omnipipe.gateway.settings import GatewaySettings


def script(request: OmniRequest) -> Script:
    text = text_script(["hello ", "there"]) if "text" in request.outputs else []
    sound = [Piece("audio", bytes(960), True, {})] if "audio" in request.outputs else []
    return [*text, *sound]


async def main() -> None:
    served, _ = fake_served(script, "echo")
    rich, _ = fake_served(rich_script, "rich", outputs=OUTPUTS, requests=RichRequests())
    async with serving([served, rich], GatewaySettings(port=0, access_log=False, api_keys=("secret",))) as running:
        print(running.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
