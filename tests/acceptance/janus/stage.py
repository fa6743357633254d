"""
The world around the stack: Janus, its pages, people who speak, and a door for the test.

Runs inside the private network: `private-network python stage.py SOCKET FOLDER ENV_FILE`. The door is an HTTP server on
a Unix socket, since no other way leads in:

    * /api/…                     the gateway, as it is
    * POST /janus                  {"request": …} to the video room plugin, with the administrator's key
    * PUT /speakers/{name}         {"room", "display", "wav"}: somebody joins and begins to speak
    * POST /speakers/{name}        {"wav"}: and says something, instead of what the microphone hears
    * DELETE /speakers/{name}      and leaves
"""

import asyncio
import http.server
import os
import secrets
import sys
import threading
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from playwright.async_api import BrowserContext, Playwright, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

MEDIA = "vm0"
JANUS_HTTP = "http://127.0.0.1:8088/janus"
PAGES = "http://localhost:8000"
DEMOS = Path("/usr/share/janus/demos")
ADMIN_KEY = "let-me-in"
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream=fps=5",
    "--use-fake-ui-for-media-stream",
)
SAY = """async (url) => {
  if (!globalThis.mouth) {
    const context = new AudioContext();
    const outlet = context.createMediaStreamDestination();
    const sender = sfutest.webrtcStuff.pc.getSenders().find(({ track }) => track?.kind === "audio");
    await sender.replaceTrack(outlet.stream.getAudioTracks()[0]);
    globalThis.mouth = { context, outlet };
  }
  const { context, outlet } = globalThis.mouth;
  const buffer = await context.decodeAudioData(await (await fetch(url)).arrayBuffer());
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(outlet);
  source.start();
}"""
"""Runs in the page of somebody who has joined."""
CONFIG = {
    "janus.jcfg": """
general: {{ configs_folder = "{folder}", plugins_folder = "{lib}/plugins", transports_folder = "{lib}/transports",
            events_folder = "{lib}/events", loggers_folder = "{lib}/loggers" }}
nat: {{ ice_enforce_list = "{media}" }}
media: {{ rtp_port_range = "20000-20400" }}
plugins: {{ disable = "{other_plugins}" }}
transports: {{ disable = "libjanus_pfunix.so,libjanus_mqtt.so,libjanus_rabbitmq.so,libjanus_nanomsg.so" }}
events: {{ broadcast = false }}
""",
    "janus.transport.http.jcfg": 'general: {{ base_path = "/janus", http = true, port = 8088, ip = "127.0.0.1" }}\n',
    "janus.transport.websockets.jcfg": 'general: {{ ws = true, ws_port = 8188, ws_ip = "127.0.0.1" }}\n',
    "janus.plugin.videoroom.jcfg": 'general: {{ admin_key = "{admin_key}" }}\n',
}


class Stage:
    """Everything that one run of the tests puts around the stack."""

    def __init__(self, folder: Path, api_url: str, playwright: Playwright) -> None:
        self._folder = folder
        self._playwright = playwright
        self._http = httpx.AsyncClient(timeout=60, trust_env=False)
        self._api_url = api_url
        self._speakers: dict[str, BrowserContext] = {}

    async def forward(self, request: Request) -> Response:
        """Pass a call on to the gateway."""
        answer = await self._http.request(
            request.method,
            f"{self._api_url}/{request.path_params['path']}",
            params=request.query_params,
            content=await request.body(),
            headers={name: value for name, value in request.headers.items() if name.lower() != "host"},
        )
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    async def ask_janus(self, request: Request) -> Response:
        """Send one request to the video room plugin."""
        session = await self._call("", {"janus": "create"})
        handle = await self._call(f"/{session}", {"janus": "attach", "plugin": "janus.plugin.videoroom"})
        wanted = {"admin_key": ADMIN_KEY, **await request.json()}
        answer = await self._post(f"/{session}/{handle}", {"janus": "message", "body": wanted})
        await self._post(f"/{session}", {"janus": "destroy"})
        return JSONResponse(answer["plugindata"]["data"])

    async def enter(self, request: Request) -> Response:
        """Let somebody join a room with a file as microphone."""
        name, wanted = request.path_params["name"], await request.json()
        context = await self._playwright.chromium.launch_persistent_context(
            self._folder / f"profile-{secrets.token_hex(4)}",
            executable_path="/usr/bin/chromium",
            args=[*FLAGS, f"--use-file-for-fake-audio-capture={wanted['wav']}%noloop"],
        )
        self._speakers[name] = context
        page = context.pages[0]
        await page.goto(f"{PAGES}/videoroomtest.html?room={wanted['room']}")
        await page.click("#start:not([disabled])")
        await page.fill("#username", wanted["display"])
        await page.click("#register")
        await page.wait_for_selector("#videolocal video, #videolocal .no-video-container", timeout=80_000)
        return Response(status_code=204)

    async def say(self, request: Request) -> Response:
        """Let somebody who has joined say something."""
        wav = Path((await request.json())["wav"])
        served = self._folder / "pages" / wav.name
        await asyncio.to_thread(served.symlink_to, wav)
        await self._speakers[request.path_params["name"]].pages[0].evaluate(SAY, f"{PAGES}/{wav.name}")
        return Response(status_code=204)

    async def leave(self, request: Request) -> Response:
        """Let somebody leave as people do, by closing the browser."""
        await self._speakers.pop(request.path_params["name"]).close()
        return Response(status_code=204)

    def app(self) -> Starlette:
        """Return the door."""
        return Starlette(
            routes=[
                Route("/api/{path:path}", self.forward, methods=["GET", "POST", "PUT", "DELETE"]),
                Route("/janus", self.ask_janus, methods=["POST"]),
                Route("/speakers/{name}", self.enter, methods=["PUT"]),
                Route("/speakers/{name}", self.say, methods=["POST"]),
                Route("/speakers/{name}", self.leave, methods=["DELETE"]),
            ]
        )

    async def _call(self, path: str, body: dict[str, Any]) -> int:
        return int((await self._post(path, body))["data"]["id"])

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self._http.post(JANUS_HTTP + path, json={"transaction": secrets.token_hex(6), **body})
        told: dict[str, Any] = answer.json()
        return told


def write_config(folder: Path) -> Path:
    """Write Janus a folder of its own settings; return the main file."""
    (lib,) = Path("/usr/lib").glob("*/janus")
    others = [path.name for path in (lib / "plugins").glob("*.so") if "videoroom" not in path.name]
    folder.mkdir()
    for name, text in CONFIG.items():
        filled = text.format(folder=folder, lib=lib, media=MEDIA, other_plugins=",".join(others), admin_key=ADMIN_KEY)
        (folder / name).write_text(filled)
    return folder / "janus.jcfg"


def serve_pages(folder: Path) -> None:
    """Serve the pages that come with Janus, with settings that work."""
    folder.mkdir()
    for path in DEMOS.iterdir():
        if path.name != "settings.js":
            (folder / path.name).symlink_to(path.resolve())
    (folder / "settings.js").write_text('var server = "ws://127.0.0.1:8188", iceServers = [], token, apisecret;\n')
    handler = partial(_QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of every request."""


async def wait_for_stack(env_file: Path) -> str:
    """Wait until the stack says where it is; return the gateway's address."""
    async with asyncio.timeout(120):
        while not await asyncio.to_thread(env_file.exists):
            await asyncio.sleep(0.2)
    lines = await asyncio.to_thread(env_file.read_text)
    return dict(line.split("=", 1) for line in lines.splitlines() if "=" in line)["VEXA_API_URL"]


async def main(socket: str, folder: Path, offset: str, env_file: Path) -> None:
    """Run until told to end."""
    main_file = write_config(folder / "janus")
    serve_pages(folder / "pages")
    async with AsyncExitStack() as stack:
        log = stack.enter_context((folder / "janus.log").open("wb"))
        await asyncio.create_subprocess_exec(
            "janus", "-F", str(main_file.parent), "-C", str(main_file), "-o", stdout=log, stderr=log
        )
        up = await asyncio.create_subprocess_exec(
            str(Path(__file__).parents[3] / "local-dev" / "up"), "--port-offset", offset, env=dict(os.environ)
        )
        api_url = await wait_for_stack(env_file)
        playwright = await stack.enter_async_context(async_playwright())
        config = uvicorn.Config(Stage(folder, api_url, playwright).app(), uds=socket, log_level="warning")
        await uvicorn.Server(config).serve()
        up.terminate()
        await up.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])))
