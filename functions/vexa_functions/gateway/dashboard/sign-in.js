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
    enter.disabled = true;
    problem.textContent = "";
    key.set(input.value.trim());
    try {
      await meetings(1);
      onEntered();
    } catch (refused) {
      key.forget();
      problem.textContent = refused.isAboutTheKey ? "This key is not valid. Check that it is complete." : refused.message;
      input.setAttribute("aria-invalid", "true");
      input.select();
    } finally {
      enter.disabled = false;
    }
  }
  return el("main", { class: "entrance" }, form);
}
