// What is shown: the picture with the classes' colors over it, the legend, the times.

const STAGES = ["read", "encode", "server", "resize", "network", "decode", "smooth", "draw"];
const MEAN_OF = 12; // frames
const LEGEND_EVERY = 250; // ms, so that moving numbers can be read

class View {
  // labels: {names, colors}, the colors [red, green, blue].
  constructor(labels) {
    this.labels = labels;
    this.canvas = document.getElementById("view");
    this.context = this.canvas.getContext("2d");
    this.colored = document.createElement("canvas");
    this.isOn = labels.names.map(() => true);
    this.opacity = 0.5;
    this.shown = null;
    this.rows = this.legend();
  }

  legend() {
    return this.labels.names.map((name, index) => {
      const row = document.createElement("li");
      const label = row.appendChild(document.createElement("label"));
      const box = label.appendChild(document.createElement("input"));
      box.type = "checkbox";
      box.checked = true;
      box.addEventListener("change", () => this.switchClass(index, box.checked));
      const chip = label.appendChild(document.createElement("i"));
      chip.className = "chip";
      chip.style.backgroundColor = `rgb(${this.labels.colors[index].join()})`;
      label.appendChild(document.createElement("span")).textContent = name;
      const share = label.appendChild(document.createElement("small"));
      document.getElementById("legend").append(row);
      return { box, share };
    });
  }

  switchClass(index, isOn) {
    this.isOn[index] = isOn;
    this.rows[index].box.checked = isOn;
    this.redraw();
  }

  switchAll(isOn) {
    this.isOn.fill(isOn);
    for (const { box } of this.rows) box.checked = isOn;
    this.redraw();
  }

  setOpacity(opacity) {
    this.opacity = opacity;
    this.redraw();
  }

  // frame: a canvas; result: {labels, counts, width, height}.
  show(frame, result, name) {
    this.shown = { frame, result, name };
    this.redraw();
  }

  redraw() {
    if (!this.shown) return;
    const { frame, result } = this.shown;
    sized(this.canvas, result.width, result.height);
    this.context.globalAlpha = 1;
    this.context.drawImage(frame, 0, 0);
    this.color(result);
    this.context.globalAlpha = this.opacity;
    this.context.drawImage(this.colored, 0, 0);
  }

  color({ labels, width, height }) {
    const palette = new Uint32Array(256);
    const bytes = new Uint8Array(palette.buffer);
    this.labels.colors.forEach((color, index) => {
      if (this.isOn[index]) bytes.set([...color, 255], 4 * index);
    });
    sized(this.colored, width, height);
    const context = this.colored.getContext("2d");
    const picture = context.createImageData(width, height);
    const pixels = new Uint32Array(picture.data.buffer);
    for (let at = 0; at < labels.length; at++) pixels[at] = palette[labels[at]];
    context.putImageData(picture, 0, 0);
  }

  // The legend's shares, and the canvas in words.
  describe(name) {
    const { labels, counts, width, height } = this.shown.result;
    const percent = (index) => `${((100 * counts[index]) / labels.length).toFixed(1)} %`;
    this.rows.forEach(({ share }, index) => (share.textContent = percent(index)));
    const largest = counts.map((_, index) => index).sort((a, b) => counts[b] - counts[a]);
    const said = largest.slice(0, 4).filter((index) => counts[index]);
    const words = said.map((index) => `${this.labels.names[index]} ${percent(index)}`).join(", ");
    this.canvas.setAttribute("aria-label", `${name}, ${width} by ${height} pixels: ${words}`);
  }
}

// A canvas of this size; setting it, even to what it is, would clear it.
function sized(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
}

// Frames a second, and the mean time of each stage.
class Times {
  constructor() {
    this.table = document.getElementById("times");
    this.rate = document.getElementById("rate");
    this.clear();
  }

  clear() {
    this.frames = [];
    this.rate.textContent = "-";
    this.table.replaceChildren();
  }

  // ms: of each stage, by name.
  add(ms, isLive) {
    this.frames.push({ ms, at: performance.now() });
    this.frames = this.frames.slice(isLive ? -MEAN_OF - 1 : -1);
  }

  show() {
    const { frames } = this;
    const later = frames.length - 1;
    const seconds = (frames[later].at - frames[0].at) / 1000;
    this.rate.textContent = later ? (later / seconds).toFixed(1) : "-";
    const sum = (stage) => frames.reduce((before, { ms }) => before + (ms[stage] ?? 0), 0);
    const mean = (stage) => sum(stage) / frames.length;
    const stages = STAGES.filter((stage) => stage in frames.at(-1).ms);
    const means = stages.map(mean);
    const rows = stages.map((stage, index) => [stage, means[index]]);
    rows.push(["all", means.reduce((sum, value) => sum + value, 0)]);
    this.table.replaceChildren(...rows.map(([stage, value]) => timeRow(stage, value)));
  }
}

function timeRow(stage, ms) {
  const row = document.createElement("tr");
  const head = row.appendChild(document.createElement("th"));
  head.scope = "row";
  head.textContent = stage;
  row.appendChild(document.createElement("td")).textContent = ms.toFixed(1);
  return row;
}
