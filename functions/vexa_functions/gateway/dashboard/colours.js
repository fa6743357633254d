// Gives each speaker of a meeting a colour, in the order in which they first speak.

const COUNT = 8;

export class Colours {
  constructor() {
    this.byName = new Map();
  }

  of(name) {
    if (!this.byName.has(name)) this.byName.set(name, this.byName.size % COUNT);
    return `speaker-${this.byName.get(name)}`;
  }
}

export function initials(name) {
  const words = name.trim().split(/[\s_-]+/);
  return words.slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase();
}
