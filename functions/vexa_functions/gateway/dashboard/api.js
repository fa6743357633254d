// The public API over HTTP, with the key of whoever signed in.

const KEY = "vexa.key";
const TIMEOUT_MS = 15000;

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
