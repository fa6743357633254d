// The page: who is signed in, which meeting is open, and the list beside it.

import * as api from "./api.js";
import { button, el, note } from "./dom.js";
import { MeetingView } from "./meeting-view.js";
import { MeetingsView } from "./meetings-view.js";
import { forgetLimits, learnLimits, limits } from "./limits.js";
import { SearchView } from "./search-view.js";
import { signIn } from "./sign-in.js";
import { openStartDialog } from "./start-dialog.js";
import { hasEnded, titleOf } from "./status.js";
import { openWebhookDialog } from "./webhook-dialog.js";

const RUNNING_MS = 4000;
const QUIET_MS = 20000;
const PAGE = 100;
const MOST = 1000;
const ADDRESS = /^#\/meetings\/(\d+)(?:\?at=([\d.]+))?$/;

class App {
  constructor(root) {
    this.root = root;
    this.meetings = [];
    this.limit = PAGE;
    window.addEventListener("hashchange", () => this.route());
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
  }

  start() {
    if (api.key.get()) this.enter();
    else this.leave();
  }

  enter() {
    this.list = new MeetingsView(() => this.showOlder());
    this.page = el("main", { class: "page", id: "page" });
    this.search = new SearchView({ onActive: (isActive) => (this.list.element.hidden = isActive), onRefused: () => this.refused() });
    this.bar = this.topbar();
    this.frame = el("div", { class: "frame" }, el("aside", { class: "side" }, this.bar, this.search.field, this.search.results, this.list.element), this.page);
    this.root.replaceChildren(el("a", { class: "skip", href: "#page", onclick: (event) => this.skip(event) }, "Skip to the meeting"), this.frame);
    this.refresh();
    this.learn();
  }

  topbar() {
    const brand = el("a", { class: "brand", href: "#/" }, el("img", { src: "/dashboard/icon.svg", alt: "", width: "26", height: "26" }), "Vexa");
    return el(
      "header",
      { class: "topbar" },
      brand,
      button("Send a bot", { icon: "plus", kind: "primary", forbidden: limits.bots, onclick: () => openStartDialog((meeting) => this.open(meeting)) }),
      button("Webhook", { icon: "bell", hidesLabel: true, title: "Webhook", forbidden: limits.changes, onclick: () => openWebhookDialog() }),
      button("Sign out", { icon: "leave", hidesLabel: true, title: "Sign out", onclick: () => this.leave() }),
      limits.bots || limits.changes ? el("p", { class: "limits" }, limits.changes || limits.bots) : null,
    );
  }

  // Shows what the key may not do, once that is known.
  async learn() {
    const { frame } = this;
    if (!(await learnLimits()) || frame !== this.frame) return;
    const bar = this.topbar();
    this.bar.replaceWith(bar);
    this.bar = bar;
    this.view?.showHead();
  }

  leave(reason = "") {
    api.key.forget();
    forgetLimits();
    clearTimeout(this.timer);
    this.view?.close();
    this.view = null;
    this.frame = null;
    this.meetings = [];
    document.title = "Vexa";
    this.root.replaceChildren(signIn(() => this.enter(), reason));
  }

  async refresh() {
    if (!this.frame) return;
    clearTimeout(this.timer);
    const { frame } = this;
    try {
      const meetings = await api.meetings(this.limit);
      if (frame !== this.frame) return;
      this.meetings = meetings;
      this.isKnown = true;
      this.route();
    } catch (refused) {
      if (frame !== this.frame) return;
      if (refused.isAboutTheKey) {
        this.refused();
        return;
      }
      if (!this.isKnown) note(refused.message, "bad");
    }
    const isRunning = this.meetings.some((meeting) => !hasEnded(meeting.status));
    if (!document.hidden) this.timer = setTimeout(() => this.refresh(), isRunning ? RUNNING_MS : QUIET_MS);
  }

  route() {
    if (!this.frame) return;
    const [, named, at] = ADDRESS.exec(location.hash) ?? [];
    const id = Number(named ?? 0);
    const meeting = this.meetings.find((known) => known.id === id) ?? (this.view?.meeting.id === id ? this.view.meeting : null);
    this.list.show(this.meetings, id, { hasMore: this.meetings.length >= this.limit && this.limit < MOST });
    this.frame.classList.toggle("has-open", Boolean(meeting));
    if (meeting) this.show(meeting, at);
    else this.showNothing(id);
    if (!meeting && id && this.isKnown) this.find(id, at);
  }

  // Opens a meeting that is older than those in the list.
  async find(id, at) {
    try {
      const meeting = await api.meeting(id);
      if (this.frame && ADDRESS.exec(location.hash)?.[1] === String(id)) {
        this.frame.classList.add("has-open");
        this.show(meeting, at);
      }
    } catch (refused) {
      if (refused.isAboutTheKey) this.refused();
    }
  }

  showOlder() {
    this.limit = Math.min(this.limit + PAGE, MOST);
    this.refresh();
  }

  // Opens a meeting, at a moment if one is named; a moment is shown once for each time that somebody goes there.
  show(meeting, at) {
    const isNew = this.view?.meeting.id !== meeting.id;
    if (isNew) {
      this.view?.close();
      this.view = new MeetingView(meeting, { onChange: () => this.refresh(), onDeleted: (gone) => this.deleted(gone), onRefused: () => this.refused() });
      this.page.replaceChildren(this.view.element);
      window.scrollTo({ top: 0 });
    } else {
      this.view.setStatus(meeting.status);
    }
    document.title = `${titleOf(this.view.meeting)} · Vexa`;
    if (at !== undefined && (isNew || this.shownAt !== location.hash)) this.view.reveal(Number(at));
    this.shownAt = location.hash;
  }

  deleted(meeting) {
    this.meetings = this.meetings.filter((known) => known.id !== meeting.id);
    location.hash = "#/";
    this.search.clear();
    note("The meeting is deleted.");
    this.refresh();
  }

  showNothing(id) {
    this.view?.close();
    this.view = null;
    document.title = "Vexa";
    const text = id && this.isKnown ? "There is no such meeting." : "Choose a meeting, or send a bot to one.";
    this.page.replaceChildren(el("p", { class: "empty nothing" }, text));
  }

  open(meeting) {
    this.meetings = [meeting, ...this.meetings.filter((known) => known.id !== meeting.id)];
    location.hash = `#/meetings/${meeting.id}`;
    this.route();
    this.page.querySelector("h1")?.focus();
    this.refresh();
  }

  refused() {
    this.leave("This key is no longer valid. Sign in again.");
  }

  skip(event) {
    event.preventDefault();
    const target = this.page.querySelector("h1") ?? this.page;
    target.focus();
  }
}

new App(document.getElementById("app")).start();
