// What is known of a meeting's words: stored segments, and above them the drafts that are still being heard. No DOM.

const REASONS = {
  overload: "the transcribers were overloaded",
  bot_buffer_full: "the bot's memory was full",
  capture_silent: "the meeting's sound was not captured",
  page_lost: "the meeting's page was lost",
  bot_lost: "the bot was lost",
  not_stored: "no worker took the audio in time",
  unknown: "nobody knows why",
};
const PAUSE_S = 6;
const LONGEST_TURN_S = 60;

export class Transcript {
  constructor() {
    this.stored = new Map();
    this.drafts = new Map();
    this.speakers = new Map();
    this.gaps = [];
  }

  // Takes the answer of GET /transcripts: what is stored, and what is missing with the reason. Stored text is final,
  // so what the live feed brought meanwhile stays.
  load(segments, missing) {
    this.gaps = missing.map((gap) => ({ ...gap, id: `gap-${gap.stream_uid}-${gap.start}` }));
    this.storeAll(segments);
  }

  // Takes one message of the live feed.
  hear(message) {
    const { segments = [], stream_uid: stream, snapshot } = message.payload;
    if (snapshot) this.drafts.clear();
    if (message.type === "transcript.mutable") {
      if (stream) this.drafts.set(stream, segments.filter((segment) => !this.stored.has(segment.segment_id)));
      for (const segment of segments) this.learn(segment);
    }
    if (message.type === "transcript.finalized") this.storeAll(segments);
  }

  endDrafts() {
    this.drafts.clear();
  }

  // Parts of a segment that is shared by several people come together, and replace those that were known.
  storeAll(segments) {
    const shared = new Set(segments.filter((segment) => segment.mixed).map((segment) => wholeOf(segment.segment_id)));
    if (shared.size) for (const id of this.stored.keys()) if (shared.has(wholeOf(id))) this.stored.delete(id);
    for (const segment of segments) this.store(segment);
  }

  store(segment) {
    this.stored.set(segment.segment_id, { ...segment, completed: true });
    this.learn(segment);
    const drafts = this.drafts.get(segment.stream_uid);
    if (!drafts) return;
    const left = drafts.filter((draft) => draft.segment_id !== segment.segment_id && draft.end > segment.end);
    this.drafts.set(segment.stream_uid, left);
  }

  // Remembers who speaks in a stream; the higher revision wins, also for what was said before.
  learn(segment) {
    if (segment.mixed) return;
    const known = this.speakers.get(segment.stream_uid);
    if (!segment.speaker || (known && known.revision > segment.revision)) return;
    this.speakers.set(segment.stream_uid, { name: segment.speaker, revision: segment.revision });
  }

  speakerOf(segment) {
    if (segment.mixed) return segment.speaker;
    return segment.speaker && !segment.revision ? segment.speaker : (this.speakers.get(segment.stream_uid)?.name ?? segment.speaker);
  }

  segments() {
    const drafts = [...this.drafts.values()].flat().filter((draft) => draft.text.trim());
    return [...this.stored.values(), ...drafts].sort(
      (a, b) => a.start - b.start || a.end - b.end || (a.segment_id < b.segment_id ? -1 : 1),
    );
  }

  // Groups what one person said without a long pause; what is missing stands in its place between.
  turns() {
    const turns = [];
    const gaps = [...this.gaps].sort((a, b) => a.start - b.start);
    for (const segment of this.segments()) {
      while (gaps.length && gaps[0].start <= segment.start) turns.push(gapTurn(gaps.shift()));
      const speaker = this.speakerOf(segment) || "Unknown speaker";
      const last = turns.at(-1);
      const goesOn =
        last && !last.gap && last.speaker === speaker && segment.start - last.end < PAUSE_S && segment.end - last.start < LONGEST_TURN_S;
      if (goesOn) {
        last.segments.push(segment);
        last.end = Math.max(last.end, segment.end);
      } else {
        turns.push({ id: segment.segment_id, speaker, start: segment.start, end: segment.end, segments: [segment] });
      }
    }
    return [...turns, ...gaps.map(gapTurn)];
  }

  text() {
    return this.turns().map(spell).join("\n\n");
  }
}

export function gapText(gap) {
  return `${duration(gap.end - gap.start)} of ${gap.speaker ?? "an unknown speaker"} missing: ${reasonOf(gap)}`;
}

export function reasonOf(gap) {
  return REASONS[gap.reason] ?? gap.reason.replaceAll("_", " ");
}

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${String(rest).padStart(2, "0")}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

export function duration(seconds) {
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// The id of the segment that a part belongs to: parts have a point and the number of their first word behind it.
function wholeOf(id) {
  return id.replace(/(-\d+)\.\d+$/, "$1");
}

function gapTurn(gap) {
  return { id: gap.id, start: gap.start, end: gap.end, gap, segments: [] };
}

function spell(turn) {
  const said = turn.gap ? `[${gapText(turn.gap)}]` : turn.segments.map((segment) => segment.text.trim()).join(" ");
  return turn.gap ? `${said} (${clock(turn.start)})` : `${turn.speaker} (${clock(turn.start)}): ${said}`;
}
