// What the key of whoever signed in may not do, with the reason; nothing is forbidden until that is known.

import { scopes } from "./api.js";

const READ_ONLY = "This key may only read.";
const NO_BOTS = "This key may not send or stop bots.";
const BOTS_ONLY = "This key may not change meetings or settings.";

export const limits = { bots: "", changes: "" };

// Asks; returns whether anything is forbidden. Without an answer nothing is: each call is refused for itself.
export async function learnLimits() {
  const granted = await scopes().catch(() => ["user"]);
  const changes = granted.includes("user");
  const bots = changes || granted.includes("bots");
  limits.bots = bots ? "" : changes ? NO_BOTS : READ_ONLY;
  limits.changes = changes ? "" : bots ? BOTS_ONLY : READ_ONLY;
  return Boolean(limits.bots || limits.changes);
}

export function forgetLimits() {
  limits.bots = "";
  limits.changes = "";
}
