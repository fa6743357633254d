// Tells what the page shows, twice a second: which marks are visible, who is there, and whose track is whose.
(marks, capture) => {
  if (!capture) return;
  const MAX_TEXT = 300;
  const MAX_PEOPLE = 300;

  const isVisible = (element) => element.checkVisibility({ checkOpacity: false, checkVisibilityCSS: true });
  const textOf = (element) => (element.innerText || element.getAttribute("aria-label") || "").trim();

  const find = ({ css, text }) => {
    const wanted = text && new RegExp(text, "i");
    for (const element of document.querySelectorAll(css)) {
      if (isVisible(element) && (!wanted || wanted.test(textOf(element)))) return textOf(element).slice(0, MAX_TEXT);
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
      const isSelf = Boolean(marks.self && (tile.matches(marks.self) || tile.querySelector(marks.self)));
      const isSpeaking = Boolean(marks.speaking && (tile.matches(marks.speaking) || tile.querySelector(marks.speaking)));
      const id = (marks.tileId && tile.getAttribute(marks.tileId)) || tile.id || name;
      found.push({ id: id.slice(0, 255), name, self: isSelf, speaking: isSpeaking });
    }
    return found;
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
};
