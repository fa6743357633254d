// What changes a meeting after it was held: its name and notes, and its end.

import { changeMeeting, deleteMeeting } from "./api.js";
import { field, openSheet } from "./dialog.js";
import { el } from "./dom.js";
import { titleOf } from "./status.js";

const LONGEST_NAME = "255";
const LONGEST_NOTES = "16384";

export function openEditDialog(meeting, onChanged) {
  const name = el("input", { id: "edit-name", maxlength: LONGEST_NAME, autocomplete: "off", placeholder: meeting.native_meeting_id });
  const notes = el("textarea", { id: "edit-notes", maxlength: LONGEST_NOTES, rows: "7" });
  name.value = meeting.data?.name ?? "";
  notes.value = meeting.data?.notes ?? "";
  openSheet(
    {
      title: "Name and notes",
      label: "Save",
      focus: name,
      submit: async (close) => {
        const data = { name: name.value.trim() || null, notes: notes.value.trim() || null };
        onChanged(await changeMeeting(meeting, data));
        close();
      },
    },
    field("Name", name),
    field("Notes", notes, "Notes stay with the meeting. Only you see them."),
  );
}

export function openDeleteDialog(meeting, onDeleted) {
  openSheet(
    {
      title: "Delete this meeting?",
      label: "Delete for ever",
      tone: "danger solid",
      submit: async (close) => {
        await deleteMeeting(meeting);
        close();
        onDeleted(meeting);
      },
    },
    el("p", {}, "Everything that was said in ", el("strong", {}, titleOf(meeting)), ", who was there, and your notes are erased. Nobody can bring them back."),
  );
}
