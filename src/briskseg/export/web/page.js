// The page: takes pictures from a source, has the worker label them, shows and saves the result.
// While the worker labels one picture of a camera, the next waits; older ones give way to newer.

const config = JSON.parse(element("config").textContent);
config.address = location.href;
const view = new View(config.labels);
const times = new Times();
const worker = whatIsMissing() ? null : new Worker(addressOfWorker());

let isReady = false; // whether the worker has the network
let source = null;
let isFrozen = false;
let isFresh = false; // whether the source has a picture that was not taken yet
let asked = 0; // how often a source was asked for: of two that open, the newer is shown
let sent = null; // what the worker has: {source, frame, read}
let frames = ["canvas", "canvas"].map((kind) => document.createElement(kind)); // shown, taken
let describedAt = 0;

function element(id) {
  return document.getElementById(id);
}

// Said once: a screen reader would read out what is set again.
function say(text) {
  if (element("status").textContent !== text) element("status").textContent = text;
}

function complain(text) {
  element("problem").textContent = text;
  element("problem").hidden = !text;
}

function addressOfWorker() {
  const source = new Blob([element("worker").textContent], { type: "text/javascript" });
  return URL.createObjectURL(source);
}

function begin() {
  const missing = whatIsMissing();
  if (missing) {
    say("");
    for (const id of ["camera", "file"]) element(id).disabled = true;
    return complain(missing);
  }
  worker.onmessage = ({ data }) => answers[data.kind](data);
  worker.onerror = ({ message }) => {
    complain(`The page's worker failed: ${message ?? "this browser does not start it"}.`);
  };
  const parts = { module: "runtime-module", wasm: "runtime-wasm", network: "network" };
  const content = Object.entries(parts).map(([name, id]) => [name, element(id).textContent]);
  for (const id of Object.values(parts)) element(id).remove(); // megabytes that nobody needs twice
  worker.postMessage({ kind: "open", config, ...Object.fromEntries(content) });
}

const answers = {
  opened({ runs, ms }) {
    say(`Ready in ${(ms / 1000).toFixed(1)} s; ${runs}`);
    isReady = true;
    take();
  },

  failed({ message }) {
    complain(message);
    if (!isReady) return say("The network could not be loaded");
    sent = null;
    return say("");
  },

  labels(result) {
    const { source: from, frame, read } = sent;
    sent = null;
    if (from !== source) return take();
    frames.reverse();
    take(); // so that the worker goes on while this is drawn
    const began = performance.now();
    const stem = source.track ? source.name : source.name.replace(/\.[^.]+$/, "");
    view.show(frame, result, source.isLive ? `${stem}_${timeNow()}` : stem);
    times.add({ read, ...result.ms, draw: performance.now() - began }, source.isLive);
    return describe(result);
  },
};

// As files may be named everywhere.
function timeNow() {
  return new Date().toISOString().slice(0, 19).replaceAll(":", "-");
}

function describe({ width, height, ms }) {
  for (const id of ["save", "save-labels"]) element(id).disabled = false;
  element("hint").hidden = true;
  if (source.isLive && performance.now() - describedAt < LEGEND_EVERY) return;
  describedAt = performance.now();
  view.describe(source.name);
  times.show();
  const whole = Object.values(ms).reduce((sum, value) => sum + value, 0);
  const took = source.isLive ? "" : `, labeled in ${whole.toFixed(0)} ms`;
  say(`${source.name}, ${width}x${height}${took}`);
}

// Give the worker the source's picture, where it is new and the worker waits.
function take() {
  if (!isReady || !source || !isFresh || sent || (isFrozen && source.isLive)) return;
  isFresh = false;
  const began = performance.now();
  const frame = frames[1];
  const { width, height } = source;
  let data;
  try {
    sized(frame, width, height);
    const context = frame.getContext("2d", { willReadFrequently: true });
    source.draw(context);
    ({ data } = context.getImageData(0, 0, width, height));
  } catch {
    const found = `${source.name} is ${width}x${height}`;
    complain(`${found}, which is more than this browser can draw; make it smaller.`);
    return;
  }
  sent = { source, frame, read: performance.now() - began };
  const { isLive } = source;
  const smooth = isLive ? Number(element("smooth").value) : 1;
  const place = element("place")?.value ?? "browser";
  const message = { kind: "frame", data: data.buffer, width, height, smooth, isLive, place };
  worker.postMessage(message, [data.buffer]);
}

// Label what is shown again: by something else, it may have other labels.
function relabel() {
  complain("");
  times.clear();
  isFresh = Boolean(source);
  take();
}

function use(opened) {
  source?.stop();
  source = opened;
  isFresh = false;
  freeze(false);
  times.clear();
  worker.postMessage({ kind: "restart" });
  describedAt = 0;
  const isCamera = Boolean(source?.track);
  element("camera").setAttribute("aria-pressed", isCamera);
  if (!isCamera) element("cameras").hidden = true;
  element("freeze").disabled = !source?.isLive;
  source?.whenNew(() => {
    isFresh = true;
    take();
  });
}

async function openFile(file) {
  complain("");
  say(`Opening ${file.name}`);
  const isVideo = file.type.startsWith("video/");
  const turn = ++asked;
  try {
    const opened = await (isVideo ? openVideo(file) : Picture.open(file));
    if (turn === asked) use(opened);
    else opened.stop();
  } catch {
    if (turn !== asked) return;
    say("");
    const cure = isVideo
      ? "cannot be played by this browser; convert it to MP4 (H.264) or WebM."
      : "is no picture or video that this browser knows; open a JPEG, PNG, WebP, MP4 or WebM file.";
    complain(`${file.name} ${cure}`);
  }
}

async function useCamera(id) {
  complain(whyNoCamera());
  if (whyNoCamera()) return;
  say("Asking for the camera");
  const turn = ++asked;
  try {
    const side = Math.max(480, config.size?.[0] ?? 0);
    const size = [side, Math.max((side * 4) / 3, config.size?.[1] ?? 0)];
    const opened = await openCamera(id, size, cameraGone);
    if (turn !== asked) return opened.stop();
    use(opened);
    await listCameras();
  } catch (error) {
    if (turn !== asked) return;
    say("");
    complain(cameraFault(error));
  }
}

function stopCamera() {
  asked++;
  use(null);
  say("Camera is off");
}

function cameraGone() {
  if (!source?.track) return;
  stopCamera();
  complain("The camera was disconnected or taken away; press Camera to ask for it again.");
}

async function listCameras() {
  const found = await cameras();
  const options = found.map(({ id, name }) => new Option(name, id));
  element("cameras").replaceChildren(...options);
  element("cameras").value = source.track.getSettings().deviceId;
  element("cameras").hidden = found.length < 2;
}

function freeze(wanted) {
  isFrozen = wanted;
  element("freeze").setAttribute("aria-pressed", isFrozen);
  source?.freeze(isFrozen);
  take();
}
