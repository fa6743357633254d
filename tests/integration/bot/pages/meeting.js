// The moves that all stand-ins share: a lobby, people who are tones behind real peer connections, an end.
const options = Object.fromEntries(new URLSearchParams(location.search));
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const show = (html) => { document.body.innerHTML = html; };
const tell = (what) => navigator.sendBeacon(`/told/${what}`);
// Answered when the test lets it happen, so that nothing hangs on how fast the machine is.
const hostDoes = (what) => fetch(`/host/${what}`);

async function speak(tile, hz) {
  const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
  from.onicecandidate = ({ candidate }) => to.addIceCandidate(candidate);
  to.onicecandidate = ({ candidate }) => from.addIceCandidate(candidate);
  to.ontrack = ({ track }) => {
    const audio = document.createElement("audio");
    audio.autoplay = true;
    audio.srcObject = new MediaStream([track]);
    tile.append(audio);
  };
  const context = new AudioContext();
  const tone = new OscillatorNode(context, { frequency: hz });
  const outlet = context.createMediaStreamDestination();
  tone.connect(outlet);
  tone.start();
  from.addTrack(outlet.stream.getAudioTracks()[0], new MediaStream());
  await from.setLocalDescription(await from.createOffer());
  await to.setRemoteDescription(from.localDescription);
  await to.setLocalDescription(await to.createAnswer());
  await from.setRemoteDescription(to.localDescription);
}

// A browser in which remote audio plays but its samples are all zero.
if (options.deaf) AudioContext.prototype.createMediaStreamSource = function () { return new GainNode(this); };

// Shows the first person as speaking from half a second on, for about two seconds; tells for how many milliseconds.
async function shine(tile, mark) {
  await later(500);
  tile.classList.add(mark);
  const since = performance.now();
  await later(2000);
  tile.classList.remove(mark);
  tell(`shone/${performance.now() - since}`);
}

async function attend({ lobby, meeting, ended, tiles, speaking }) {
  show(lobby);
  await hostDoes("admit");
  show(meeting);
  await Promise.all(Array.from(document.querySelectorAll(tiles), (tile, index) => speak(tile, 300 + 200 * index)));
  if (speaking) shine(document.querySelector(tiles), speaking);
  await hostDoes("end");
  show(ended);
}
