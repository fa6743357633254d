// Builds elements; text is always set as text, so nothing that was said can become markup.

const SVG = "http://www.w3.org/2000/svg";

export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function icon(name) {
  const paths = ICONS[name].map((d) => svg("path", { d }));
  return svg("svg", { class: `icon icon-${name}`, viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" }, ...paths);
}

// `forbidden` is why this may not be done, if it may not: the button stays in reach, and says so instead.
export function button(label, { icon: name, kind = "quiet", hidesLabel = false, forbidden = "", ...attributes } = {}) {
  const text = el("span", { class: hidesLabel ? "unseen" : "label" }, label);
  const refusal = forbidden && { "aria-disabled": "true", title: forbidden, onclick: () => note(forbidden) };
  const why = forbidden ? el("span", { class: "unseen" }, ` – ${forbidden}`) : null;
  return el("button", { type: "button", class: `button ${kind}${hidesLabel ? " bare" : ""}`, ...attributes, ...refusal }, name ? icon(name) : null, text, why);
}

export function note(text, kind = "plain") {
  const shown = el("div", { class: `note ${kind}` }, text);
  document.getElementById("notes").append(shown);
  setTimeout(() => shown.remove(), 5000);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const ICONS = {
  plus: ["M12 5v14", "M5 12h14"],
  stop: ["M7 7h10v10H7z"],
  copy: ["M9 9h11v11H9z", "M15 9V4H4v11h5"],
  download: ["M12 4v11", "M7 11l5 5 5-5", "M5 20h14"],
  back: ["M15 5l-7 7 7 7"],
  leave: ["M14 5H6v14h8", "M11 12h9", "M17 8l4 4-4 4"],
  down: ["M6 9l6 6 6-6"],
  search: ["M16 16l5 5", "M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13"],
  edit: ["M4 20h4L19 9l-4-4L4 16z", "M13 7l4 4"],
  trash: ["M5 7h14", "M10 7V4h4v3", "M7 7l1 13h8l1-13", "M10.5 11v5", "M13.5 11v5"],
  bell: ["M6 17V11a6 6 0 0 1 12 0v6l1.5 2h-15z", "M10 21h4"],
  again: ["M19 12a7 7 0 1 1-2-5", "M19 3v5h-5"],
  link: ["M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1", "M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1"],
};
