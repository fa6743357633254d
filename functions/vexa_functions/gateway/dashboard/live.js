// The live feed of one meeting over WebSocket: reconnects by itself and goes on behind the last message seen.

import { liveUrl } from "./api.js";

const FROM_THE_START = "0-0";
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15000;
const PING_MS = 20000;
const SILENCE_MS = 45000;
const WRONG_KEY = 4401;

export class LiveLink {
  // `onMessage(message)` gets each message of the feed, `onState("live" | "waiting" | "refused")` how the line is.
  constructor(meeting, onMessage, onState) {
    this.meeting = meeting;
    this.onMessage = onMessage;
    this.onState = onState;
    this.since = FROM_THE_START;
    this.pauseMs = FIRST_PAUSE_MS;
    this.isClosed = false;
    this.connect();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.retry);
    clearInterval(this.pinging);
    this.socket?.close();
  }

  connect() {
    const socket = new WebSocket(liveUrl());
    this.socket = socket;
    socket.addEventListener("open", () => this.subscribe(socket));
    socket.addEventListener("message", (event) => this.hear(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => this.ended(socket, event.code));
  }

  subscribe(socket) {
    const native = { platform: this.meeting.platform, native_id: this.meeting.native_meeting_id };
    socket.send(JSON.stringify({ action: "subscribe", meetings: [{ ...native, since: this.since }], since: this.since }));
    this.heardAt = performance.now();
    clearInterval(this.pinging);
    this.pinging = setInterval(() => this.ping(socket), PING_MS);
  }

  ping(socket) {
    if (performance.now() - this.heardAt > SILENCE_MS) socket.close();
    else if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ action: "ping" }));
  }

  hear(message) {
    this.heardAt = performance.now();
    if (message.type === "subscribed") {
      this.pauseMs = FIRST_PAUSE_MS;
      this.onState("live");
    }
    if (message.meeting?.id !== this.meeting.id) return;
    this.since = message.id ?? this.since;
    this.onMessage(message);
  }

  ended(socket, code) {
    if (socket !== this.socket) return;
    clearInterval(this.pinging);
    if (this.isClosed) return;
    if (code === WRONG_KEY) {
      this.onState("refused");
      return;
    }
    this.onState("waiting");
    this.retry = setTimeout(() => this.connect(), this.pauseMs * (0.75 + Math.random() / 2));
    this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
  }
}
