// What the key of whoever signed in may not do, with the reason; nothing is forbidden until that is known.

import { mayManage, maySendBots } from "./api.js";

const READ_ONLY = "This key may only read.";
const NO_BOTS = "This key may not send or stop bots.";
const BOTS_ONLY = "This key may not change meetings or settings.";

export const limits = { bots: "", changes: "" };

// Asks; returns whether anything is forbidden.
export async function learnLimits() {
  const [bots, changes] = await Promise.all([maySendBots(), mayManage()]);
  limits.bots = bots ? "" : changes ? NO_BOTS : READ_ONLY;
  limits.changes = changes ? "" : bots ? BOTS_ONLY : READ_ONLY;
  return Boolean(limits.bots || limits.changes);
}

export function forgetLimits() {
  limits.bots = "";
  limits.changes = "";
}
