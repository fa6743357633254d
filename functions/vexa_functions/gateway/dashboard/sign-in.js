// Asks for a key and tries it before it is believed.

import { key, meetings } from "./api.js";
import { el } from "./dom.js";

export function signIn(onEntered, reason = "") {
  const problem = el("p", { class: "problem", id: "key-problem", role: "alert" }, reason);
  const input = el("input", {
    id: "key",
    name: "key",
    type: "password",
    autocomplete: "current-password",
    spellcheck: "false",
    required: true,
    placeholder: "vxa_…",
    "aria-describedby": "key-problem",
  });
  const enter = el("button", { type: "submit", class: "button primary wide" }, "Sign in");
  const form = el(
    "form",
    { class: "sign-in card", onsubmit: (event) => submit(event) },
    el("img", { src: "/dashboard/icon.svg", alt: "", width: "44", height: "44" }),
    el("h1", {}, "Vexa"),
    el("p", { class: "lead" }, "Meetings, word for word, with nothing silently missing."),
    el("label", { for: "key" }, "Your API key"),
    input,
    problem,
    enter,
    el("p", { class: "hint" }, "It stays in this tab and is forgotten when you close it. ", el("a", { href: "/docs" }, "API documentation")),
  );
  queueMicrotask(() => input.focus());

  async function submit(event) {
    event.preventDefault();
    problem.textContent = "";
    const given = input.value.trim();
    if (!/^[!-~]+$/.test(given)) {
      refuse("This key is not valid: it holds characters that no key has.");
      return;
    }
    enter.disabled = true;
    key.set(given);
    try {
      await meetings(1);
      onEntered();
    } catch (refused) {
      key.forget();
      refuse(refused.isAboutTheKey ? "This key is not valid. Check that it is complete." : refused.message);
    } finally {
      enter.disabled = false;
    }
  }

  function refuse(why) {
    problem.textContent = why;
    input.setAttribute("aria-invalid", "true");
    input.select();
  }
  return el("main", { class: "entrance" }, form);
}
