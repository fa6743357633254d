// Asks where to send a bot, and sends it.

import { startBot } from "./api.js";
import { button, el } from "./dom.js";

const KINDS = [
  ["link", "Meeting link", "https://meet.google.com/abc-defg-hij"],
  ["google_meet", "Google Meet code", "abc-defg-hij"],
  ["teams", "Microsoft Teams id", "9876543210123"],
  ["zoom", "Zoom id", "1234567890"],
  ["jitsi", "Jitsi room", "TeamStandup"],
  ["replay", "Recorded meeting", "standup"],
];

export function openStartDialog(onStarted) {
  const kind = el("select", { id: "start-kind", onchange: () => adapt() }, ...KINDS.map(([value, name]) => el("option", { value }, name)));
  const where = el("input", { id: "start-where", required: true, autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const passcode = el("input", { id: "start-passcode", autocomplete: "off", spellcheck: "false" });
  const name = el("input", { id: "start-name", placeholder: "Vexa", maxlength: "100", autocomplete: "off" });
  const language = el("input", { id: "start-language", placeholder: "detect", maxlength: "3", size: "6", autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const problem = el("p", { class: "problem", role: "alert" });
  const send = el("button", { type: "submit", class: "button primary" }, "Send the bot");
  const dialog = el(
    "dialog",
    { class: "sheet", "aria-labelledby": "start-title", onclose: () => dialog.remove() },
    el(
      "form",
      { onsubmit: (event) => submit(event) },
      el("h2", { id: "start-title" }, "Send a bot to a meeting"),
      field("What you have", kind),
      field("Where", where),
      el(
        "details",
        { class: "more" },
        el("summary", {}, "Name, language, passcode"),
        el("div", { class: "pair" }, field("Bot's name", name), field("Language", language)),
        field("Passcode", passcode),
      ),
      problem,
      el("div", { class: "actions" }, button("Cancel", { onclick: () => dialog.close() }), send),
    ),
  );
  document.body.append(dialog);
  adapt();
  dialog.showModal();
  where.focus();

  function adapt() {
    const [, label, example] = KINDS.find(([value]) => value === kind.value);
    where.placeholder = example;
    where.labels[0].textContent = label;
  }

  async function submit(event) {
    event.preventDefault();
    send.disabled = true;
    problem.textContent = "";
    try {
      const meeting = await startBot(wanted());
      dialog.close();
      onStarted(meeting);
    } catch (refused) {
      problem.textContent = refused.message;
    } finally {
      send.disabled = false;
    }
  }

  function wanted() {
    const text = where.value.trim();
    const place = kind.value === "link" ? { meeting_url: text } : { platform: kind.value, native_meeting_id: text };
    const extra = { bot_name: name.value.trim(), language: language.value.trim().toLowerCase(), passcode: passcode.value.trim() };
    return { ...place, ...Object.fromEntries(Object.entries(extra).filter(([, value]) => value)) };
  }
}

function field(label, input) {
  return el("div", { class: "field" }, el("label", { for: input.id }, label), input);
}
