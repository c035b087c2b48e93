// A pixel changes its label only once it has had the new one in so many frames in a row, as with
// `briskseg predict --smooth`. One smoother a stream; it begins anew with frames of another size.

class Smoother {
  constructor() {
    this.reset();
  }

  reset() {
    this.shown = null;
  }

  // Labels of the next frame -> the labels to show, an array of their own.
  next(labels, frames) {
    if (this.shown === null || this.shown.length !== labels.length) {
      this.shown = labels.slice();
      this.times = new Uint8Array(labels.length).fill(frames);
    } else {
      const { shown, latest, times } = this;
      for (let at = 0; at < labels.length; at++) {
        times[at] = labels[at] === latest[at] ? Math.min(times[at], frames - 1) + 1 : 1;
        if (times[at] >= frames) shown[at] = labels[at];
      }
    }
    this.latest = labels;
    return this.shown.slice();
  }
}
