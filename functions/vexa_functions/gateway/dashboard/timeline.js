// Draws the coverage ledger: one lane a stream, every captured second as speech, silence, muted, missing or on its way.

import { el } from "./dom.js";
import { clock, duration, reasonOf } from "./transcript.js";

const STEPS_S = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const MOST_TICKS = 6;
export class Timeline {
  // `onPick(seconds)` is called where somebody points at a moment.
  constructor(colours, onPick) {
    this.colours = colours;
    this.onPick = onPick;
    this.element = el("section", { class: "card timeline", "aria-label": "Coverage" });
  }

  show(coverage, transcript) {
    this.element.hidden = !coverage || !coverage.streams.length;
    if (this.element.hidden) return;
    const end = Math.max(1, ...coverage.streams.map((stream) => Math.max(stream.captured_until, stream.stored_until)));
    const wasOpen = this.element.querySelector("details")?.open ?? false;
    const lanes = coverage.streams.map((stream) => this.lane(stream, coverage, transcript, end));
    this.element.replaceChildren(summary(coverage), el("div", { class: "lanes" }, ...lanes, axis(end)), ...lost(coverage, this.onPick, wasOpen));
  }

  lane(stream, coverage, transcript, end) {
    const name = transcript.speakers.get(stream.stream_uid)?.name ?? stream.speaker ?? "Unknown speaker";
    const gaps = coverage.missing.filter((gap) => gap.stream_uid === stream.stream_uid);
    const muted = coverage.muted.filter((gap) => gap.stream_uid === stream.stream_uid);
    const spoken = transcript.segments().filter((segment) => segment.completed && segment.stream_uid === stream.stream_uid);
    const bars = [
      bar(stream.start, stream.stored_until, end, "stored", "stored"),
      bar(stream.stored_until, stream.captured_until, end, "pending", "on its way"),
      ...spoken.map((segment) => this.said(segment, segment.mixed ? (segment.speaker ?? name) : name, end)),
      ...muted.map((gap) => bar(gap.start, gap.end, end, "muted", `muted for ${duration(gap.end - gap.start)}`)),
      ...gaps.map((gap) => bar(gap.start, gap.end, end, "missing", `missing ${duration(gap.end - gap.start)}: ${reasonOf(gap)}`)),
    ];
    const missing = gaps.length ? `, ${duration(stream.missing_s)} missing` : ", nothing missing";
    const label = `${name}: ${duration(stream.speech_s)} of speech${missing}`;
    const drawing = el("div", { class: "lane", role: "img", "aria-label": label }, ...bars);
    drawing.addEventListener("click", (event) => this.pick(event, drawing, end));
    return el("div", { class: `row ${this.colours.of(name)}` }, el("span", { class: "name", title: name }, name), drawing);
  }

  // In a mixed lane each one's words have their colour.
  said(segment, speaker, end) {
    const kind = segment.mixed ? `speech ${this.colours.of(speaker)}` : "speech";
    return bar(segment.start, segment.end, end, kind, `${speaker}, ${clock(segment.start)}`);
  }

  pick(event, drawing, end) {
    const box = drawing.getBoundingClientRect();
    this.onPick(((event.clientX - box.left) / box.width) * end);
  }
}

function summary(coverage) {
  const isMissing = coverage.missing_s > 0;
  const streams = coverage.streams.length === 1 ? "1 stream" : `${coverage.streams.length} streams`;
  const facts = [
    ["Captured", `${duration(coverage.captured_s)} in ${streams}`],
    ["Speech", duration(coverage.speech_s)],
    ["Silence", duration(coverage.silence_s)],
    coverage.muted_s ? ["Muted", duration(coverage.muted_s)] : null,
    coverage.pending_s > 0.05 ? ["On its way", duration(coverage.pending_s)] : null,
  ];
  const shown = facts.filter(Boolean).map(([name, value]) => el("div", { class: "fact" }, el("dt", {}, name), el("dd", {}, value)));
  const verdict = isMissing ? `${duration(coverage.missing_s)} of sound are missing` : "Nothing is missing";
  return el("div", { class: "summary" }, el("p", { class: isMissing ? "verdict is-missing" : "verdict" }, verdict), el("dl", {}, ...shown));
}

function axis(end) {
  const step = STEPS_S.find((seconds) => end / seconds <= MOST_TICKS) ?? 7200;
  const ticks = [];
  for (let at = 0; at === 0 || at < end * 0.86; at += step) {
    const tick = el("span", { class: "tick" }, clock(at));
    tick.style.insetInlineStart = `${(100 * at) / end}%`;
    ticks.push(tick);
  }
  const last = el("span", { class: "tick last" }, clock(end));
  return el("div", { class: "row axis", "aria-hidden": "true" }, el("span", { class: "name" }), el("div", { class: "ticks" }, ...ticks, last));
}

function lost(coverage, onPick, isOpen) {
  if (!coverage.missing.length) return [];
  const items = coverage.missing.map((gap) =>
    el("li", {}, el("button", { type: "button", class: "link", onclick: () => onPick(gap.start) }, `${clock(gap.start)}–${clock(gap.end)}`), ` ${gap.speaker ?? "Unknown speaker"}, ${duration(gap.end - gap.start)}: ${reasonOf(gap)}`),
  );
  const count = coverage.missing.length === 1 ? "1 interval is missing" : `${coverage.missing.length} intervals are missing`;
  return [el("details", { class: "lost", open: isOpen }, el("summary", {}, count), el("ul", {}, ...items))];
}

function bar(from, until, end, kind, title) {
  const shown = el("span", { class: `bar ${kind}`, title });
  shown.style.insetInlineStart = `${(100 * from) / end}%`;
  shown.style.width = `${Math.max(0, (100 * (until - from)) / end)}%`;
  return shown;
}
