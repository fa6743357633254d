// Tells what the page shows, twice a second: which marks are visible, who is there, and whose track is whose.
(marks, capture) => {
  if (!capture) return;
  const MAX_TEXT = 300;
  const MAX_PEOPLE = 300;

  const isVisible = (element) => element.checkVisibility({ checkOpacity: false, checkVisibilityCSS: true });
  const textOf = (element) => (element.innerText || element.getAttribute("aria-label") || "").trim();

  // What people call themselves says nothing about the meeting, be it "Lobby" or "The meeting has ended".
  const namesPeople = (element) => Boolean(marks.tile && (element.closest(marks.tile) || element.querySelector(marks.tile)));

  const find = ({ css, text }) => {
    const wanted = text && new RegExp(text, "i");
    for (const element of document.querySelectorAll(css)) {
      const fits = isVisible(element) && (!wanted || (wanted.test(textOf(element)) && !namesPeople(element)));
      if (fits) return textOf(element).slice(0, MAX_TEXT);
    }
    return null;
  };

  const visibleMarks = () => {
    const found = {};
    for (const [name, mark] of Object.entries(marks.visible)) {
      const text = find(mark);
      if (text !== null) found[name] = text;
    }
    return found;
  };

  const has = (tile, css) => Boolean(css && (tile.matches(css) || tile.querySelector(css)));

  const nameIn = (tile) => {
    const label = marks.tileName ? tile.querySelector(marks.tileName) : tile;
    return ((label && textOf(label)) || "").split("\n")[0].trim().slice(0, 255);
  };

  const people = () => {
    if (!marks.tile) return [];
    const found = [];
    for (const tile of Array.from(document.querySelectorAll(marks.tile)).slice(0, MAX_PEOPLE)) {
      const name = nameIn(tile);
      if (!name) continue;
      const id = (marks.tileId && tile.getAttribute(marks.tileId)) || tile.id || name;
      const [speaking, muted] = [has(tile, marks.speaking), has(tile, marks.muted)];
      found.push({ id: id.slice(0, 255), name, self: has(tile, marks.self), speaking, muted });
    }
    return found;
  };

  // Names alone: several tiles of one person are one voice.
  const speakers = (tiles) => {
    const found = new Set();
    for (const tile of tiles.slice(0, MAX_PEOPLE)) {
      if (!has(tile, marks.speaking) || has(tile, marks.self)) continue;
      const name = nameIn(tile);
      if (name) found.add(name);
    }
    return Array.from(found).sort();
  };

  let shown = "";
  let toldAt = 0;
  const tellSpeakers = () => {
    const tiles = Array.from(document.querySelectorAll(marks.tile));
    if (!tiles.length && !shown) return; // another frame may know better
    const names = speakers(tiles);
    const at = Date.now();
    if (names.join("\n") === shown && at - toldAt < capture.reportEveryMs) return;
    [shown, toldAt] = [names.join("\n"), at];
    capture.emit({ kind: "speaking", at, names });
  };

  const owners = () => {
    const found = {};
    for (const media of document.querySelectorAll("audio, video")) {
      const tile = marks.tile && media.closest(marks.tile);
      if (!tile || !media.srcObject?.getAudioTracks) continue;
      for (const track of media.srcObject.getAudioTracks()) {
        const number = capture.trackOf(track);
        if (number && nameIn(tile)) found[number] = nameIn(tile);
      }
    }
    return found;
  };

  const report = () => {
    const facts = { kind: "facts", ...capture.audioFacts() };
    if (document.body) Object.assign(facts, { marks: visibleMarks(), people: people(), owners: owners() });
    const isEmpty = !facts.tracks.length && !Object.keys(facts.marks ?? {}).length && !facts.people?.length;
    if (window.top === window || !isEmpty) capture.emit(facts);
  };
  setInterval(report, capture.reportEveryMs);
  if (marks.speaking && marks.tile) setInterval(tellSpeakers, capture.levelEveryMs);
};
