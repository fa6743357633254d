// Turns one track's samples into int16 chunks with their place on the context's clock. Runs on the audio thread.
class Tap extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.size = processorOptions.chunkSamples;
    this.isLive = true;
    this.begin();
    this.port.onmessage = () => {
      this.isLive = false;
      this.flush();
    };
  }

  begin() {
    this.samples = new Int16Array(this.size);
    this.count = 0;
    this.peak = 0;
  }

  flush() {
    if (this.count === 0) return;
    const samples = this.samples.slice(0, this.count).buffer;
    this.port.postMessage({ first: this.first, at: Date.now(), peak: this.peak, samples }, [samples]);
    this.begin();
  }

  process([input]) {
    if (!this.isLive) return false;
    if (this.count === 0) this.first = currentFrame;
    const channel = input[0];
    const quantum = channel?.length ?? 128;
    for (let index = 0; index < quantum; index += 1) {
      const sample = Math.max(-1, Math.min(1, channel ? channel[index] : 0)); // resampling can overshoot
      this.peak = Math.max(this.peak, Math.abs(sample));
      this.samples[this.count] = sample < 0 ? sample * 32768 : sample * 32767;
      this.count += 1;
    }
    if (this.count >= this.size) this.flush();
    return true;
  }
}
registerProcessor("vexa-tap", Tap);
