// Taps every remote audio track of this document and tells the process about it. Runs at document start, in every frame.
// It sends nothing by itself: all it knows goes through one binding to the process, which decides what it means.
({ binding, rateHz, chunkSamples, levelEveryMs, reportEveryMs, worklet }) => {
  const emitText = globalThis[binding];
  if (typeof emitText !== "function" || typeof RTCPeerConnection !== "function") return null;
  delete globalThis[binding]; // the page's own scripts have no business with it

  const doc = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  // Names are cut between any two units, and people give themselves any name: what no database holds is replaced.
  const storable = (_, value) => (typeof value === "string" ? value.toWellFormed().replaceAll("\0", "\ufffd") : value);
  const emit = (message) => void emitText(JSON.stringify({ doc, ...message }, storable)).catch(() => {});
  const taps = new Map(); // by track object: ids repeat, Janus calls every track "janus0"
  const connections = new Set();
  const faults = new Set();
  let sequence = 0;
  let context = null;
  let contextReady = null;

  const base64 = (samples) => btoa(String.fromCharCode.apply(null, new Uint8Array(samples)));

  const openContext = () => {
    context = new AudioContext({ sampleRate: rateHz });
    const source = URL.createObjectURL(new Blob([worklet], { type: "text/javascript" }));
    contextReady = context.audioWorklet.addModule(source).finally(() => URL.revokeObjectURL(source));
    return contextReady;
  };

  const noteLevel = (tap) => {
    const source = tap.receiver.getSynchronizationSources()[0];
    if (!source || source.timestamp === tap.levelAt) return; // the last level stays for seconds after the last packet
    tap.levelAt = source.timestamp;
    tap.level = Math.max(tap.level, source.audioLevel ?? 0);
  };

  const hear = (tap, { first, at, peak, samples }) => {
    tap.peak = Math.max(tap.peak, peak);
    emit({ kind: "audio", track: tap.number, first, at, pcm: base64(samples) });
  };

  const end = (tap) => {
    if (tap.ended) return;
    tap.ended = true;
    tap.node?.port.postMessage("end");
    tap.source?.disconnect();
    tap.element.srcObject = null;
    // the last part of a chunk is still on its way from the audio thread
    setTimeout(() => {
      emit({ kind: "ended", track: tap.number });
      taps.delete(tap.track);
    }, 200);
  };

  const connect = async (tap) => {
    await (contextReady ?? openContext());
    if (tap.ended) return;
    tap.source = context.createMediaStreamSource(new MediaStream([tap.track]));
    tap.node = new AudioWorkletNode(context, "vexa-tap", {
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { chunkSamples },
    });
    tap.node.port.onmessage = ({ data }) => hear(tap, data);
    tap.source.connect(tap.node).connect(context.destination); // its output is silence
  };

  const open = (track, receiver, streams, connection) => {
    if (taps.has(track)) return;
    const element = new Audio(); // without a playing element WebAudio gets silence from a remote track
    element.muted = true;
    element.srcObject = new MediaStream([track]);
    element.play().catch((error) => faults.add(`play: ${error.name}`));
    const tap = { number: ++sequence, track, receiver, connection, element, level: 0, peak: 0, ended: false };
    tap.label = streams[0]?.id ?? "";
    taps.set(track, tap);
    track.addEventListener("ended", () => end(tap));
    connect(tap).catch((error) => faults.add(`tap: ${error.name}`));
  };

  const watch = (connection) => {
    connections.add(connection);
    connection.addEventListener("track", ({ track, receiver, streams }) => {
      if (track.kind === "audio") open(track, receiver, streams, connection);
    });
  };

  globalThis.RTCPeerConnection = new Proxy(RTCPeerConnection, {
    construct(target, args, newTarget) {
      const connection = Reflect.construct(target, args, newTarget);
      watch(connection);
      return connection;
    },
  });

  setInterval(() => taps.forEach((tap) => !tap.ended && noteLevel(tap)), levelEveryMs);

  // Closing a connection fires no event, neither at it nor at its tracks.
  const dropClosed = () => {
    taps.forEach((tap) => tap.connection.connectionState === "closed" && end(tap));
    connections.forEach((connection) => connection.connectionState === "closed" && connections.delete(connection));
  };

  const audioFacts = () => {
    dropClosed();
    if (context?.state === "suspended") context.resume().catch(() => {});
    const tracks = Array.from(taps.values(), (tap) => {
      const { number, label, level, peak } = tap;
      Object.assign(tap, { level: 0, peak: 0 });
      return { number, label, level, peak };
    });
    return {
      context: context?.state ?? null,
      connections: Array.from(connections, (connection) => connection.connectionState),
      tracks,
      faults: Array.from(faults),
    };
  };

  return { emit, audioFacts, levelEveryMs, reportEveryMs, trackOf: (media) => taps.get(media)?.number };
};
