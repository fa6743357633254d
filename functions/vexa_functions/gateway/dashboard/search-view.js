// Search over everything that was said: a field, and below it what was found with the matches marked.

import { search } from "./api.js";
import { button, el, icon } from "./dom.js";
import { titleOf } from "./status.js";
import { clock } from "./transcript.js";

const PAUSE_MS = 250;
const PAGE = 20;

export class SearchView {
  // `onActive(isActive)` is called when results take the place of the list, or give it back; `onRefused(error)` when
  // the key is not good any more.
  constructor({ onActive, onRefused }) {
    this.onActive = onActive;
    this.onRefused = onRefused;
    this.input = el("input", { id: "search", type: "search", placeholder: "Search what was said", "aria-label": "Search what was said", autocomplete: "off", spellcheck: "false", maxlength: "200", oninput: () => this.typed(), onkeydown: (event) => event.key === "Escape" && this.clear() });
    this.field = el("search", { class: "search" }, icon("search"), this.input);
    this.told = el("p", { class: "told", role: "status" });
    this.list = el("ul", { class: "found" });
    this.more = button("Show more", { kind: "quiet wide", hidden: true, onclick: () => this.ask() });
    this.results = el("section", { class: "list results", "aria-label": "Search results", hidden: true }, this.told, this.list, this.more);
  }

  clear() {
    this.input.value = "";
    this.typed();
  }

  typed() {
    clearTimeout(this.timer);
    this.query = this.input.value.trim();
    this.results.hidden = !this.query;
    this.onActive(Boolean(this.query));
    if (this.query) this.timer = setTimeout(() => this.begin(), PAUSE_MS);
  }

  begin() {
    this.count = 0;
    this.ask();
  }

  async ask() {
    const { query, count } = this;
    try {
      const { found, has_more: hasMore } = await search(query, { offset: count, limit: PAGE });
      if (query !== this.query || count !== this.count) return;
      this.show(found, hasMore);
    } catch (refused) {
      if (query !== this.query) return;
      if (refused.isAboutTheKey) this.onRefused(refused);
      else this.told.textContent = refused.message;
    }
  }

  show(found, hasMore) {
    const items = found.map(result);
    if (this.count) this.list.append(...items);
    else this.list.replaceChildren(...items);
    this.count += found.length;
    this.more.hidden = !hasMore;
    const passages = this.count === 1 ? "1 passage" : `${this.count}${hasMore ? " or more" : ""} passages`;
    this.told.textContent = this.count ? passages : `Nobody said “${this.query}”.`;
  }
}

function result({ meeting_id: id, native_meeting_id: native, meeting_name: name, segment, highlight }) {
  const pieces = highlight.map(({ text, match }) => (match ? el("mark", {}, text) : text));
  return el(
    "li",
    {},
    el(
      "a",
      { href: `#/meetings/${id}?at=${segment.start}` },
      el("span", { class: "title" }, titleOf({ native_meeting_id: native, data: { name } })),
      el("span", { class: "snippet", dir: "auto" }, ...pieces),
      el("span", { class: "about" }, `${segment.speaker ?? "Unknown speaker"} · ${clock(segment.start)}`),
    ),
  );
}
