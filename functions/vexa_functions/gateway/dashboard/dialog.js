// A sheet over the page: a form that says what went wrong and stays open with what was typed.

import { button, el } from "./dom.js";

// `submit(close)` is called to do what the form is for; what it throws is shown. Without one there is only a way out.
export function openSheet({ title, kind = "", submit, label, tone = "primary", focus }, ...content) {
  const problem = el("p", { class: "problem", role: "alert" });
  const send = submit ? el("button", { type: "submit", class: `button ${tone}` }, label) : null;
  const form = el(
    "form",
    { onsubmit: (event) => act(event) },
    el("h2", { id: "sheet-title", tabindex: "-1" }, title),
    ...content,
    problem,
    el("div", { class: "actions" }, button(submit ? "Cancel" : "Close", { onclick: () => dialog.close() }), send),
  );
  const dialog = el("dialog", { class: `sheet ${kind}`, "aria-labelledby": "sheet-title", onclose: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();
  (focus ?? form.querySelector("h2")).focus();

  async function act(event) {
    event.preventDefault();
    if (!submit) return;
    send.disabled = true;
    problem.textContent = "";
    try {
      await submit(() => dialog.close());
    } catch (refused) {
      problem.textContent = refused.message;
    } finally {
      send.disabled = false;
    }
  }
}

export function field(label, input, hint = "") {
  const about = hint ? el("p", { class: "hint", id: `${input.id}-hint` }, hint) : null;
  if (about) input.setAttribute("aria-describedby", about.id);
  return el("div", { class: "field" }, el("label", { for: input.id }, label), input, about);
}
