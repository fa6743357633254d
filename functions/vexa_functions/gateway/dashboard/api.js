// The public API over HTTP, with the key of whoever signed in.

const KEY = "vexa.key";
const TIMEOUT_MS = 15000;
const WEBHOOK = "/user/webhook";

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }

  get isAboutTheKey() {
    return this.status === 401 || (this.status === 403 && !this.lacksScope);
  }

  // The key is somebody's, and may do other things.
  get lacksScope() {
    return this.status === 403 && this.message.includes("does not allow this");
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

export async function meetings(limit) {
  return (await json("GET", `/meetings?limit=${limit}`)).meetings;
}

export function meeting(id) {
  return json("GET", `/meetings/${id}`);
}

export function transcript(meeting) {
  return json("GET", `${transcriptPath(meeting)}?meeting_id=${meeting.id}`);
}

export async function download(meeting, format) {
  const answer = await request("GET", `${transcriptPath(meeting)}?meeting_id=${meeting.id}&format=${format}`);
  return answer.blob();
}

export function startBot(wanted) {
  return json("POST", "/bots", wanted);
}

export function stopBot(meeting) {
  return json("DELETE", `/bots/${path(meeting)}`);
}

export function search(query, { offset, limit }) {
  return json("GET", `/transcripts?q=${encodeURIComponent(query)}&offset=${offset}&limit=${limit}`);
}

export function changeMeeting(meeting, data) {
  return json("PATCH", `/meetings/${path(meeting)}?meeting_id=${meeting.id}`, { data });
}

export function deleteMeeting(meeting) {
  return json("DELETE", `/meetings/${path(meeting)}?meeting_id=${meeting.id}`);
}

// Returns null where there is none.
export async function webhook() {
  try {
    return await json("GET", WEBHOOK);
  } catch (refused) {
    if (refused.status === 404) return null;
    throw refused;
  }
}

export function setWebhook(url, secret) {
  return json("PUT", WEBHOOK, secret ? { webhook_url: url, webhook_secret: secret } : { webhook_url: url });
}

export function removeWebhook() {
  return request("DELETE", WEBHOOK);
}

export function deliveries(before) {
  return json("GET", `/user/webhooks/deliveries?limit=20${before ? `&before=${before}` : ""}`);
}

export function redeliver(id) {
  return json("POST", `/user/webhooks/deliveries/${id}/redeliver`);
}

export async function scopes() {
  return (await json("GET", "/user/key")).scopes;
}

export function liveUrl() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}/ws?api_key=${encodeURIComponent(key.get() ?? "")}`;
}

async function json(method, where, body) {
  return (await request(method, where, body)).json();
}

async function request(method, where, body) {
  const headers = { "X-API-Key": key.get() ?? "", Accept: "*/*" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(where, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new Refused(0, "The server does not answer. Is it running?");
  }
  if (!answer.ok) throw new Refused(answer.status, await detailOf(answer));
  return answer;
}

async function detailOf(answer) {
  try {
    const { detail } = await answer.json();
    return typeof detail === "string" ? detail : JSON.stringify(detail);
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

function transcriptPath(meeting) {
  return `/transcripts/${path(meeting)}`;
}

function path(meeting) {
  return `${encodeURIComponent(meeting.platform)}/${encodeURIComponent(meeting.native_meeting_id)}`;
}
