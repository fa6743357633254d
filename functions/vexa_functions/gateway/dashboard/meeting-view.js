// One meeting: what was and is said, how much of it is in the transcript, and what can be done with it.

import * as api from "./api.js";
import { Colours } from "./colours.js";
import { button, el, icon, note } from "./dom.js";
import { limits } from "./limits.js";
import { LiveLink } from "./live.js";
import { openDeleteDialog, openEditDialog } from "./meeting-dialogs.js";
import { dayOf, hasEnded, pill, platformName, titleOf } from "./status.js";
import { Timeline } from "./timeline.js";
import { TranscriptView } from "./transcript-view.js";
import { Transcript } from "./transcript.js";

const REFRESH_LIVE_MS = 3000;
const REFRESH_ENDED_MS = 2000;
const FORMATS = [
  ["txt", "Plain text"],
  ["md", "Markdown"],
  ["vtt", "WebVTT subtitles"],
  ["srt", "SubRip subtitles"],
  ["json", "JSON"],
];

export class MeetingView {
  // `onChange(meeting)` is called when its status or what was written down changes, `onDeleted(meeting)` when it is
  // gone, `onRefused(error)` when the key is not good any more.
  constructor(meeting, { onChange, onDeleted, onRefused }) {
    this.meeting = meeting;
    this.onChange = onChange;
    this.onDeleted = onDeleted;
    this.onRefused = onRefused;
    this.transcript = new Transcript();
    this.colours = new Colours();
    this.words = new TranscriptView(this.colours);
    this.timeline = new Timeline(this.colours, (seconds) => this.words.reveal(seconds));
    this.line = el("span", { class: "line", role: "status" });
    this.head = el("header", { class: "head" });
    this.told = el("div", { class: "told-of" });
    this.element = el("article", { class: "meeting" }, this.head, this.told, this.timeline.element, this.words.element);
    this.showHead();
    this.refresh();
    if (!hasEnded(meeting.status)) this.watch();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.link?.close();
  }

  watch() {
    this.link = new LiveLink(
      this.meeting,
      (message) => this.hear(message),
      (state) => this.showLine(state),
    );
  }

  hear(message) {
    if (message.type === "meeting.status") this.setStatus(message.payload.status);
    else this.transcript.hear(message);
    this.draw();
  }

  async refresh() {
    clearTimeout(this.timer);
    try {
      const read = await api.transcript(this.meeting);
      if (this.isClosed) return;
      this.meeting = { ...this.meeting, ...read };
      this.transcript.load(read.segments, read.coverage.missing);
      this.isFinal = hasEnded(read.status) && (read.finalized || !read.coverage.streams.length);
      if (this.isFinal) this.settle();
      this.isLoaded = true;
      for (const { speaker } of read.coverage.streams) if (speaker) this.colours.of(speaker);
      this.showHead();
      this.draw();
      this.timeline.show(read.coverage, this.transcript);
    } catch (refused) {
      if (this.isClosed) return;
      if (refused.isAboutTheKey) this.onRefused(refused);
      else if (!this.isLoaded) note(refused.message ?? "The transcript cannot be read.", "bad");
    }
    if (!this.isFinal) this.timer = setTimeout(() => this.refresh(), hasEnded(this.meeting.status) ? REFRESH_ENDED_MS : REFRESH_LIVE_MS);
  }

  settle() {
    this.transcript.endDrafts();
    this.link?.close();
    this.link = null;
    this.showLine("");
  }

  setStatus(status) {
    if (status === this.meeting.status || hasEnded(this.meeting.status)) return;
    this.meeting = { ...this.meeting, status };
    this.showHead();
    this.onChange(this.meeting);
    if (hasEnded(status)) this.refresh();
  }

  draw() {
    if (this.isDrawing || !this.isLoaded) return;
    this.isDrawing = true;
    requestAnimationFrame(() => {
      this.isDrawing = false;
      this.words.show(this.transcript, { emptyText: emptyText(this.meeting) });
      if (this.goTo !== undefined) this.words.reveal(this.goTo);
      this.goTo = undefined;
    });
  }

  // Goes to a moment, as soon as its words are there.
  reveal(seconds) {
    this.goTo = seconds;
    this.draw();
  }

  showHead() {
    const { meeting } = this;
    const state = JSON.stringify([meeting.status, meeting.data, meeting.start_time, meeting.end_time, limits]);
    if (state === this.headShown) return;
    this.headShown = state;
    const back = el("a", { class: "back", href: "#/" }, icon("back"), el("span", { class: "unseen" }, "All meetings"));
    const about = el("p", { class: "about" }, `${platformName(meeting.platform)} · ${dayOf(meeting.start_time ?? meeting.created_at)} `, this.line);
    this.head.replaceChildren(
      el("div", { class: "heading" }, back, el("h1", { tabindex: "-1" }, titleOf(meeting)), pill(meeting.status)),
      about,
      el("div", { class: "tools" }, ...this.tools()),
    );
    this.told.replaceChildren(...[failure(meeting), notesOf(meeting)].filter(Boolean));
  }

  tools() {
    const { meeting } = this;
    const isOver = hasEnded(meeting.status);
    const stop = isOver ? null : button("Stop bot", { icon: "stop", kind: "danger", disabled: meeting.status === "stopping", forbidden: limits.bots, onclick: () => this.stop() });
    const url = meeting.constructed_meeting_url;
    const open = url && !isOver ? el("a", { class: "button quiet", href: url, target: "_blank", rel: "noopener noreferrer" }, icon("link"), el("span", { class: "label" }, "Open")) : null;
    const edit = button("Edit", { icon: "edit", hidesLabel: true, title: "Edit name and notes", forbidden: limits.changes, onclick: () => openEditDialog(this.meeting, (changed) => this.changed(changed)) });
    const remove = isOver ? button("Delete", { icon: "trash", hidesLabel: true, title: "Delete", kind: "danger", forbidden: limits.changes, onclick: () => openDeleteDialog(this.meeting, (gone) => this.onDeleted(gone)) }) : null;
    return [stop, button("Copy", { icon: "copy", onclick: () => this.copy() }), this.downloads(), open, edit, remove].filter(Boolean);
  }

  downloads() {
    const items = FORMATS.map(([format, name]) => el("li", {}, el("button", { type: "button", onclick: () => this.download(format) }, el("span", {}, name), el("code", {}, `.${format}`))));
    const menu = el("details", { class: "menu" }, el("summary", { class: "button quiet" }, icon("download"), el("span", { class: "label" }, "Download")), el("ul", {}, ...items));
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    menu.addEventListener("focusout", (event) => {
      if (!menu.contains(event.relatedTarget)) menu.open = false;
    });
    return menu;
  }

  showLine(state) {
    const texts = { live: "following live", waiting: "the line is down, trying again …", refused: "the key is no longer valid" };
    this.line.textContent = texts[state] ? `· ${texts[state]}` : "";
    this.line.className = `line ${state}`;
    if (state === "refused") this.onRefused(new api.Refused(403, "This key is no longer valid."));
  }

  changed({ data }) {
    this.meeting = { ...this.meeting, data };
    this.showHead();
    this.onChange(this.meeting);
  }

  async stop() {
    try {
      const { message } = await api.stopBot(this.meeting);
      note(message || "The bot was told to leave.");
      await this.refresh();
    } catch (refused) {
      note(refused.message, "bad");
    }
  }

  async copy() {
    try {
      await toClipboard(this.transcript.text());
      note("The transcript is copied.");
    } catch {
      note("This browser did not allow copying.", "bad");
    }
  }

  async download(format) {
    this.head.querySelector(".menu").open = false;
    try {
      const url = URL.createObjectURL(await api.download(this.meeting, format));
      const name = `${titleOf(this.meeting).replace(/[^\p{L}\p{N}._-]+/gu, "-")}.${format}`;
      el("a", { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    } catch (refused) {
      note(refused.message, "bad");
    }
  }
}

function failure({ status, data }) {
  if (status !== "failed" || !data?.reason) return null;
  const why = data.evidence ? el("p", { class: "evidence" }, data.evidence) : null;
  return el("section", { class: "card failure", "aria-label": "Why it failed" }, el("p", { class: "reason" }, sentence(data.reason)), why);
}

function notesOf({ data }) {
  return data?.notes ? el("section", { class: "card jotted", "aria-label": "Notes" }, el("p", { dir: "auto" }, data.notes)) : null;
}

function sentence(code) {
  const words = code.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

function emptyText(meeting) {
  const texts = {
    requested: "The bot is being started.",
    joining: "The bot is on its way into the meeting.",
    awaiting_admission: "The bot waits in the lobby. Somebody in the meeting has to let it in.",
    active: "The bot listens. The first words appear here as they are spoken.",
    stopping: "The bot is leaving. What it heard last is still being written down.",
    completed: "Nobody said a word.",
    failed: "The bot heard nothing before it ended.",
  };
  return texts[meeting.status] ?? "";
}

async function toClipboard(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = el("textarea", { class: "unseen" });
  field.value = text;
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  if (!isCopied) throw new Error("not allowed");
}
