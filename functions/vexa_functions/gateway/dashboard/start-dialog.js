// Asks where to send a bot, and sends it.

import { startBot } from "./api.js";
import { field, openSheet } from "./dialog.js";
import { el } from "./dom.js";

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
  const place = field("Where", where);
  adapt();
  openSheet(
    {
      title: "Send a bot to a meeting",
      label: "Send the bot",
      focus: where,
      submit: async (close) => {
        const meeting = await startBot(wanted());
        close();
        onStarted(meeting);
      },
    },
    field("What you have", kind),
    place,
    el(
      "details",
      { class: "more" },
      el("summary", {}, "Name, language, passcode"),
      el("div", { class: "pair" }, field("Bot's name", name), field("Language", language)),
      field("Passcode", passcode),
    ),
  );

  function adapt() {
    const [, label, example] = KINDS.find(([value]) => value === kind.value);
    where.placeholder = example;
    place.querySelector("label").textContent = label;
  }

  function wanted() {
    const text = where.value.trim();
    const named = kind.value === "link" ? { meeting_url: text } : { platform: kind.value, native_meeting_id: text };
    const extra = { bot_name: name.value.trim(), language: language.value.trim().toLowerCase(), passcode: passcode.value.trim() };
    return { ...named, ...Object.fromEntries(Object.entries(extra).filter(([, value]) => value)) };
  }
}
