// How a meeting's status is told to people.

import { el } from "./dom.js";

const NAMES = {
  requested: "Requested",
  joining: "Joining",
  awaiting_admission: "In the lobby",
  active: "Live",
  stopping: "Leaving",
  completed: "Completed",
  failed: "Failed",
};
const PLATFORMS = {
  google_meet: "Google Meet",
  teams: "Microsoft Teams",
  zoom: "Zoom",
  jitsi: "Jitsi",
  replay: "Recording",
};

export function hasEnded(status) {
  return status === "completed" || status === "failed";
}

export function pill(status) {
  return el("span", { class: `pill is-${status}` }, NAMES[status] ?? status);
}

export function platformName(platform) {
  return PLATFORMS[platform] ?? platform;
}

export function titleOf(meeting) {
  return meeting.data?.name || meeting.native_meeting_id || "Deleted meeting";
}

export function dayOf(time) {
  const date = new Date(time);
  const today = new Date();
  const sameDay = date.toDateString() === today.toDateString();
  const clock = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return sameDay ? `Today, ${clock}` : `${date.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" })}, ${clock}`;
}
