// The event console: asks for notes once a second and shows what became of each event.

const EVERY_MS = 1000;
const MOST_EVENTS = 300;
const LETTERS_EVERY_MS = 5000;
const ENDS = {
  delivered: ["good", "delivered"],
  dead_lettered: ["bad", "dead letter"],
  buried: ["bad", "kept in the Broker"],
};

const state = { broker: null, after: null, events: new Map(), paused: false };
const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

async function ask(path, options) {
  const answer = await fetch(path, { cache: "no-store", ...options });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.status === 202 ? null : answer.json();
}

const ofBroker = (rest) => `/console/brokers/${state.broker}/${rest}`;

// What is known of one event, folded from its notes.

function take(note) {
  if (note.event) {
    state.events.set(note.entry, { ...note, deliveries: new Map(), changed: true });
    while (state.events.size > MOST_EVENTS) {
      const [oldest] = state.events.keys();
      document.getElementById(`entry-${oldest}`)?.remove();
      state.events.delete(oldest);
    }
    return;
  }
  const entry = state.events.get(note.entry);
  if (!entry) return;
  const delivery = entry.deliveries.get(note.trigger) ?? { attempts: [], end: null };
  if (note.end) delivery.end = note.end;
  else delivery.attempts.push(note);
  entry.deliveries.set(note.trigger, delivery);
  entry.changed = true;
}

function outcome(delivery) {
  if (!delivery) return ["none", "waits its turn"];
  if (delivery.end) return ENDS[delivery.end];
  const last = delivery.attempts.at(-1);
  return ["waiting", `${statusText(last.status)}, tried ${delivery.attempts.length}×`];
}

const isTrouble = (entry) =>
  [...entry.deliveries.values()].some(
    (delivery) => (delivery.end ?? "") !== "delivered" || delivery.attempts.length > 1,
  );
const statusText = (status) => (status === -1 ? "no answer" : String(status));
const seconds = (wait) => (wait < 1 ? `${Math.round(wait * 1000)} ms` : `${Math.round(wait * 10) / 10} s`);
const clock = (at) => new Date(at).toLocaleTimeString([], { hour12: false }) + "." + new Date(at).toISOString().slice(20, 23);

// Events

function showEntries() {
  const list = byId("list");
  for (const [id, entry] of state.events) {
    if (!entry.changed) continue;
    entry.changed = false;
    const old = byId(`entry-${id}`);
    const shown = entryElement(id, entry, old?.open ?? false);
    if (old) old.replaceWith(shown);
    else list.prepend(shown);
  }
  filterEntries();
}

function entryElement(id, entry, isOpen) {
  const wanted = entry.verdicts.filter((verdict) => verdict.passed);
  const chips = wanted.map((verdict) => {
    const [tone, text] = outcome(entry.deliveries.get(verdict.trigger));
    return make("span", { class: `chip ${tone}`, title: verdict.trigger }, `${shortName(verdict.trigger)}: ${text}`);
  });
  if (!wanted.length) chips.push(make("span", { class: "chip none" }, "no Trigger wants it"));
  if (!entry.is_known) chips.unshift(make("span", { class: "chip none", title: "No EventType names this type" }, "unregistered type"));
  const summary = make(
    "summary",
    {},
    make("span", { class: "when" }, clock(entry.at)),
    make("span", { class: "what", title: entry.event.type }, entry.event.type),
    make("span", { class: "about", title: entry.event.subject ?? "" }, entry.event.subject ?? entry.event.id),
    make("span", { class: "chips" }, ...chips),
  );
  const element = make("details", { class: "entry", id: `entry-${id}`, open: isOpen }, summary);
  const fill = () => {
    if (element.open && !element.querySelector(".detail")) element.append(detailElement(entry, wanted));
  };
  element.addEventListener("toggle", fill);
  fill();
  return element;
}

const shortName = (trigger) => trigger.split("-")[0];

function detailElement(entry, wanted) {
  const { extensions, ...attributes } = entry.event;
  const rows = Object.entries({ ...attributes, ...extensions }).flatMap(([name, value]) => [
    make("dt", {}, name),
    make("dd", {}, value),
  ]);
  const others = entry.verdicts.filter((verdict) => !verdict.passed);
  const unwanted = make("details", { class: "others", open: !wanted.length },
    make("summary", {}, `${others.length} Triggers do not want it`),
    ...others.map((verdict) => triggerElement(verdict, null)));
  return make("div", { class: "detail" },
    make("div", {}, make("h2", {}, "Attributes"), make("dl", {}, ...rows)),
    make("div", {}, make("h2", {}, "Triggers"),
      ...wanted.map((verdict) => triggerElement(verdict, entry.deliveries.get(verdict.trigger))),
      others.length ? unwanted : null));
}

function triggerElement(verdict, delivery) {
  const [tone, text] = verdict.passed ? outcome(delivery) : ["none", "does not match"];
  const element = make("div", { class: verdict.passed ? "trigger" : "trigger unwanted" },
    make("p", {}, verdict.trigger, make("span", { class: `chip ${tone}` }, text)),
    verdictList(verdict));
  if (delivery?.attempts.length) element.append(attemptTable(delivery.attempts));
  return element;
}

function verdictList(verdict) {
  const parts = verdict.parts.length ? verdict.parts : [verdict];
  if (!verdict.parts.length && verdict.text === "attributes") {
    return make("p", { class: "verdict" }, "wants every event");
  }
  return make("ul", { class: "verdict" }, ...parts.map(verdictItem));
}

function verdictItem(verdict) {
  const item = make("li", {},
    make("span", { class: `mark ${verdict.passed ? "passed" : "failed"}` }, verdict.passed ? "✓" : "✗"),
    make("span", { class: "mono" }, verdict.text),
    verdict.why ? make("span", { class: "why" }, verdict.why) : null);
  if (verdict.parts.length) item.append(make("ul", { class: "verdict" }, ...verdict.parts.map(verdictItem)));
  return item;
}

function attemptTable(attempts) {
  return make("table", { class: "attempts" }, make("tbody", {}, ...attempts.map((attempt) =>
    make("tr", {},
      make("td", { class: "when" }, clock(attempt.at)),
      make("td", {}, attempt.stage),
      make("td", {}, attempt.retry ? `retry ${attempt.retry}` : "first"),
      make("td", { class: "status" }, statusText(attempt.status)),
      make("td", {}, attempt.wait_s === undefined ? "" : `again after ${seconds(attempt.wait_s)}`),
      make("td", { class: "mono" }, attempt.detail ?? "")))));
}

function filterEntries() {
  const wanted = byId("search").value.trim().toLowerCase();
  const onlyTrouble = byId("only-trouble").checked;
  let shown = 0;
  for (const [id, entry] of state.events) {
    const text = JSON.stringify(entry.event).toLowerCase();
    const isShown = text.includes(wanted) && (!onlyTrouble || isTrouble(entry));
    const element = byId(`entry-${id}`);
    if (element) element.hidden = !isShown;
    shown += isShown;
  }
  byId("empty").hidden = shown > 0;
  byId("empty").textContent = state.events.size ? "No event fits the filter." : "No events yet. Start a meeting with local-dev/demo.";
}

// Dead letters

async function showLetters() {
  let letters = [];
  try {
    ({ letters } = await ask(ofBroker("letters")));
    byId("no-letters").textContent = "None.";
  } catch (error) {
    byId("no-letters").textContent = `Not known now: ${error.message}`;
  }
  byId("letter-count").hidden = !letters.length;
  byId("letter-count").textContent = letters.length;
  byId("no-letters").hidden = letters.length > 0;
  byId("letter-list").replaceChildren(...letters.map(letterElement));
}

function letterElement(letter) {
  const button = make("button", { type: "button" }, "Redrive");
  button.addEventListener("click", () => redrive(letter, button));
  const place = letter.place === "broker" ? "kept in the Broker" : "kept by the dead letter function";
  return make("li", { class: "letter" },
    make("div", {},
      make("p", {}, make("strong", {}, letter.type), " ", make("span", { class: "mono" }, letter.subject ?? "")),
      make("p", { class: "hint" }, make("span", { class: "chip bad" }, letter.code || "no answer"),
        " ", make("span", { class: "mono" }, letter.destination), ` · ${place}`)),
    button);
}

async function redrive(letter, button) {
  button.disabled = true;
  try {
    await ask(ofBroker(`letters/${letter.place}/${letter.id}/redrive`), { method: "POST", headers: { "x-vexa-console": "redrive" } });
    await showLetters();
  } catch (error) {
    button.disabled = false;
    button.textContent = "Failed, try again";
    button.title = error.message;
  }
}

// Triggers

function showTriggers(broker) {
  byId("trigger-list").replaceChildren(...broker.triggers.map((trigger) => {
    const { waits_s: waits, timeout_s: timeout, dead_letter_sink: sink } = trigger.policy;
    const counts = Object.entries(trigger.counts).map(([what, count]) => `${count} ${what.replace("_", " ")}`);
    return make("li", { class: "card" },
      make("p", {}, make("strong", {}, trigger.name), trigger.is_ordered ? " · in order of the partition key" : ""),
      filterText(trigger.filter),
      make("dl", {},
        make("dt", {}, "to"), make("dd", {}, trigger.subscriber),
        make("dt", {}, "retries"), make("dd", {}, waits.length ? `${waits.length}, after ${waits.map(seconds).join(", ")}` : "none"),
        make("dt", {}, "timeout"), make("dd", {}, seconds(timeout)),
        make("dt", {}, "dead letters"), make("dd", {}, sink ?? "kept in the Broker"),
        make("dt", {}, "so far"), make("dd", {}, counts.join(", ") || "nothing")));
  }));
}

function filterText(filter) {
  const spell = (part) => (part.parts.length ? `${part.text} (${part.parts.map(spell).join("; ")})` : part.text);
  const text = filter.parts.map(spell).join(" and ") || "every event";
  return make("p", { class: "mono" }, text);
}

// The page

async function refresh() {
  if (state.paused) return;
  try {
    const { brokers } = await ask("/console/brokers");
    chooseBroker(brokers);
    if (!state.broker) return say("no Broker is declared", true);
    const answer = await ask(ofBroker("notes") + (state.after ? `?after=${state.after}` : ""));
    state.after = answer.next;
    answer.notes.forEach(take);
    showEntries();
    showTriggers(brokers.find((broker) => broker.name === state.broker));
    say(`live · ${state.events.size} events` + (answer.dropped ? ` · ${answer.dropped} notes lost` : ""));
  } catch (error) {
    say(`no answer: ${error.message}`, true);
  }
}

function chooseBroker(brokers) {
  const select = byId("broker");
  if (select.options.length !== brokers.length) {
    select.replaceChildren(...brokers.map((broker) => make("option", {}, broker.name)));
  }
  state.broker = select.value || null;
}

function say(text, isBroken = false) {
  byId("state").textContent = text;
  byId("state").classList.toggle("broken", isBroken);
}

function openTab(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const isChosen = tab.getAttribute("aria-controls") === name;
    tab.setAttribute("aria-selected", isChosen);
    byId(tab.getAttribute("aria-controls")).hidden = !isChosen;
  }
}

for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.addEventListener("click", () => openTab(tab.getAttribute("aria-controls")));
}
byId("search").addEventListener("input", filterEntries);
byId("only-trouble").addEventListener("change", filterEntries);
byId("tools").addEventListener("submit", (event) => event.preventDefault());
byId("pause").addEventListener("click", () => {
  state.paused = !state.paused;
  byId("pause").setAttribute("aria-pressed", state.paused);
  byId("pause").textContent = state.paused ? "Go on" : "Pause";
  if (state.paused) say("paused");
});
byId("broker").addEventListener("change", () => {
  state.events.clear();
  state.after = null;
  byId("list").replaceChildren();
});

async function refreshForever() {
  await refresh();
  setTimeout(refreshForever, EVERY_MS);
}

async function refreshLettersForever() {
  if (state.broker && !state.paused) await showLetters();
  setTimeout(refreshLettersForever, state.broker ? LETTERS_EVERY_MS : EVERY_MS);
}

refreshForever();
refreshLettersForever();
