// Shows a transcript: one block a turn, drafts faint until they are firm. Elements stay, so that text can be selected.

import { button, el } from "./dom.js";
import { initials } from "./colours.js";
import { clock, gapText } from "./transcript.js";

const NEAR_PX = 160;

export class TranscriptView {
  constructor(colours) {
    this.colours = colours;
    this.turns = new Map();
    this.list = el("ol", { class: "turns", role: "log", "aria-live": "polite", "aria-label": "Transcript" });
    this.empty = el("p", { class: "empty" });
    this.jump = button("New words below", { icon: "down", kind: "jump", hidden: true, onclick: () => this.follow() });
    this.element = el("section", { class: "transcript" }, this.list, this.empty, this.jump);
  }

  show(transcript, { emptyText }) {
    const wasNear = isNearTheEnd();
    const before = this.list.childElementCount ? this.list.scrollHeight : 0;
    const turns = transcript.turns();
    this.empty.textContent = turns.length ? "" : emptyText;
    this.arrange(turns);
    if (!before || this.list.scrollHeight <= before) return;
    if (wasNear) this.follow();
    else this.jump.hidden = false;
  }

  reveal(start) {
    const turn = [...this.turns.values()].findLast((shown) => shown.start <= start + 0.05) ?? [...this.turns.values()][0];
    if (!turn) return;
    turn.element.scrollIntoView({ block: "center" });
    turn.element.classList.add("pointed");
    setTimeout(() => turn.element.classList.remove("pointed"), 1600);
  }

  follow() {
    this.jump.hidden = true;
    window.scrollTo({ top: document.documentElement.scrollHeight });
  }

  arrange(turns) {
    const kept = new Set(turns.map((turn) => turn.id));
    for (const [id, shown] of this.turns) if (!kept.has(id)) this.drop(id, shown);
    let place = this.list.firstElementChild;
    const ordered = new Map();
    for (const turn of turns) {
      const shown = this.turns.get(turn.id) ?? (turn.gap ? new GapView(turn) : new TurnView());
      if (!turn.gap) shown.show(turn, this.colours.of(turn.speaker));
      ordered.set(turn.id, shown);
      if (shown.element === place) place = place.nextElementSibling;
      else this.list.insertBefore(shown.element, place);
    }
    this.turns = ordered;
    if (isNearTheEnd()) this.jump.hidden = true;
  }

  drop(id, shown) {
    shown.element.remove();
    this.turns.delete(id);
  }
}

class GapView {
  constructor(turn) {
    this.start = turn.start;
    this.element = el("li", { class: "gap" }, el("time", { class: "time" }, clock(turn.start)), el("span", {}, gapText(turn.gap)));
  }
}

class TurnView {
  constructor() {
    this.segments = new Map();
    this.face = el("span", { class: "face", "aria-hidden": "true" });
    this.name = el("span", { class: "name" });
    this.time = el("time", { class: "time" });
    this.words = el("p", { class: "words", dir: "auto" });
    this.element = el("li", { class: "turn" }, this.face, el("div", { class: "said" }, el("div", { class: "who" }, this.name, this.time), this.words));
  }

  show(turn, colour) {
    this.start = turn.start;
    setText(this.face, initials(turn.speaker));
    setText(this.name, turn.speaker);
    setText(this.time, clock(turn.start));
    if (this.colour !== colour) {
      if (this.colour) this.element.classList.remove(this.colour);
      this.element.classList.add(colour);
      this.colour = colour;
    }
    const kept = new Set(turn.segments.map((segment) => segment.segment_id));
    for (const [id, span] of this.segments) {
      if (kept.has(id)) continue;
      span.remove();
      this.segments.delete(id);
    }
    turn.segments.forEach((segment, index) => this.place(segment, index));
  }

  place(segment, index) {
    const span = this.segments.get(segment.segment_id) ?? el("span", { class: "segment" });
    setText(span, `${segment.text.trim()} `);
    const wasDraft = span.classList.contains("draft");
    span.classList.toggle("draft", !segment.completed);
    if (wasDraft && segment.completed) span.classList.add("firmed");
    if (segment.completed) span.removeAttribute("aria-hidden");
    else span.setAttribute("aria-hidden", "true");
    const doubts = segment.doubts ?? [];
    span.classList.toggle("doubted", doubts.length > 0);
    if (doubts.length) span.title = `May be invented: ${doubts.join(", ").replaceAll("_", " ")}`;
    this.segments.set(segment.segment_id, span);
    if (this.words.children[index] !== span) this.words.insertBefore(span, this.words.children[index] ?? null);
  }
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function isNearTheEnd() {
  const page = document.documentElement;
  return page.scrollHeight - page.scrollTop - page.clientHeight < NEAR_PX;
}
