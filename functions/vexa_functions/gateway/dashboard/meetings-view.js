// The list of meetings, newest first.

import { button, el } from "./dom.js";
import { dayOf, pill, platformName, titleOf } from "./status.js";

export class MeetingsView {
  // `onMore()` is called when somebody asks for older meetings.
  constructor(onMore) {
    this.more = button("Show older meetings", { kind: "quiet wide", hidden: true, onclick: onMore });
    this.list = el("ul", { class: "meetings" });
    this.empty = el("p", { class: "empty" });
    this.element = el("nav", { class: "list", "aria-label": "Meetings" }, this.list, this.more, this.empty);
    this.shown = "";
  }

  show(meetings, selectedId, { hasMore }) {
    this.more.hidden = !hasMore;
    const state = JSON.stringify([selectedId, meetings.map(({ id, status, data }) => [id, status, data])]);
    if (state === this.shown) return;
    this.shown = state;
    const focused = document.activeElement?.dataset?.meeting;
    this.empty.textContent = meetings.length ? "" : "No meetings yet. Send a bot to the first one.";
    this.list.replaceChildren(...meetings.map((meeting) => item(meeting, meeting.id === selectedId)));
    if (focused) this.list.querySelector(`[data-meeting="${CSS.escape(focused)}"]`)?.focus();
  }
}

function item(meeting, isSelected) {
  return el(
    "li",
    {},
    el(
      "a",
      { href: `#/meetings/${meeting.id}`, "data-meeting": meeting.id, "aria-current": isSelected ? "page" : null },
      el("span", { class: "title" }, titleOf(meeting)),
      pill(meeting.status),
      el("span", { class: "about" }, `${platformName(meeting.platform)} · ${dayOf(meeting.created_at)}`),
    ),
  );
}
