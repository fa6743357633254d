// Where the user's own server is told what happens, and how each delivery goes.

import * as api from "./api.js";
import { field, openSheet } from "./dialog.js";
import { button, el, note } from "./dom.js";
import { dayOf } from "./status.js";

const EVENTS = {
  "meeting.status_change": "Status changed",
  "meeting.completed": "Meeting completed",
  "bot.failed": "Bot failed",
  "transcription.ready": "Transcript ready",
};
const STATUSES = {
  delivered: ["Delivered", "is-active still"],
  pending: ["Due", "is-requested"],
  failed: ["Failed", "is-failed"],
  cancelled: ["Cancelled", ""],
};

export async function openWebhookDialog() {
  let webhook;
  try {
    webhook = await api.webhook();
  } catch (refused) {
    note(refused.message, "bad");
    return;
  }
  const url = el("input", { id: "hook-url", type: "url", required: true, autocomplete: "off", placeholder: "https://example.org/vexa" });
  const secret = el("input", { id: "hook-secret", type: "password", autocomplete: "off", minlength: "16", maxlength: "255", placeholder: webhook?.has_secret ? "unchanged" : "at least 16 characters" });
  url.value = webhook?.webhook_url ?? "";
  openSheet(
    {
      title: "Webhook",
      kind: "wide",
      label: "Save",
      focus: url,
      submit: async (close) => {
        await api.setWebhook(url.value.trim(), secret.value);
        note("Your server is told from now on.");
        close();
      },
    },
    el("p", { class: "lead" }, "Your server is posted what happens to your meetings."),
    field("Address", url),
    field("Secret", secret, "Signs each delivery, so that your server can tell it is ours. It is never shown again."),
    ...(webhook ? [remove()] : []),
    new Deliveries().element,
  );
}

function remove() {
  const stop = button("Tell my server nothing more", {
    icon: "trash",
    kind: "danger",
    onclick: async (event) => {
      const dialog = event.currentTarget.closest("dialog");
      try {
        await api.removeWebhook();
        note("Your server is told nothing more.");
        dialog.close();
      } catch (refused) {
        note(refused.message, "bad");
      }
    },
  });
  return el("p", {}, stop);
}

class Deliveries {
  constructor() {
    this.list = el("ul", { class: "deliveries" });
    this.told = el("p", { class: "hint", role: "status" });
    this.more = button("Show older deliveries", { kind: "quiet wide", hidden: true, onclick: () => this.load(this.next) });
    this.element = el("section", { class: "history", "aria-labelledby": "deliveries-title" }, el("h3", { id: "deliveries-title" }, "Deliveries"), this.told, this.list, this.more);
    this.load();
  }

  async load(before) {
    try {
      const { deliveries, next_before: next } = await api.deliveries(before);
      this.list.append(...deliveries.map((delivery) => this.item(delivery)));
      this.next = next;
      this.more.hidden = !next;
      this.told.textContent = this.list.childElementCount ? "" : "Nothing was delivered in the last 30 days.";
    } catch (refused) {
      this.told.textContent = refused.message;
    }
  }

  item(delivery) {
    const [name, kind] = STATUSES[delivery.status] ?? [delivery.status, ""];
    const again = button("Send again", { icon: "again", kind: "quiet small", onclick: () => this.again(delivery, again, shown) });
    const facts = [dayOf(delivery.last_attempt_at ?? delivery.created_at), `meeting ${delivery.meeting_id}`, delivery.attempts === 1 ? "1 attempt" : `${delivery.attempts} attempts`];
    const why = delivery.status === "delivered" ? "" : (delivery.last_error ?? (delivery.last_status_code ? `answered ${delivery.last_status_code}` : ""));
    const shown = el(
      "li",
      { "data-delivery": delivery.id },
      el("span", { class: "title" }, EVENTS[delivery.event_type] ?? delivery.event_type),
      el("span", { class: `pill ${kind}` }, name),
      el("span", { class: "about" }, facts.join(" · ")),
      again,
      why ? el("span", { class: "why" }, why) : null,
    );
    return shown;
  }

  async again(delivery, pressed, shown) {
    pressed.disabled = true;
    try {
      const tried = this.item(await api.redeliver(delivery.id));
      shown.replaceWith(tried);
      tried.querySelector("button").focus();
    } catch (refused) {
      pressed.disabled = false;
      this.told.textContent = refused.message;
    }
  }
}
