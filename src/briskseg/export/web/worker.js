// The page's worker: holds the network, takes pictures, gives labels. Nothing here uses the network
// of the machine: all that is needed comes from the page. (A page that a server gives has server.js
// besides, which asks that server.)
//
// open {config, module, wasm, network} -> opened {runs, ms} or failed {message}; runs: on what, in
//     words.
// frame {data, width, height, smooth, isLive, place} -> labels {labels, counts, width, height, ms}
//     or failed {message}. data: an ArrayBuffer of RGBA; ms: of each stage, by name.
// restart {} : the next frame begins a new stream.

const smoother = new Smoother();
let session = null;
let runtime = null;
let config = null;

// Where labels come from: a function each, of a picture and the frame's watch.
const PLACES = { browser: labelsFromHere };

self.onmessage = async ({ data: message }) => {
  try {
    if (message.kind === "open") await open(message);
    else if (message.kind === "restart") smoother.reset();
    else await label(message);
  } catch (error) {
    self.postMessage({ kind: "failed", message: describe(error) });
  }
};

function describe(error) {
  if (error instanceof RangeError || /memory|bad_alloc/i.test(String(error))) {
    return "The memory is not enough for a picture of this size; use a smaller one.";
  }
  return error instanceof Error ? error.message : String(error);
}

async function open(message) {
  const began = performance.now();
  config = message.config;
  const runs = message.network ? await openNetwork(message) : "the server labels";
  self.postMessage({ kind: "opened", runs, ms: performance.now() - began });
}

async function openNetwork(message) {
  const packed = [message.module, message.wasm, message.network];
  const [module, wasm, network] = await Promise.all(packed.map(unpacked));
  const address = URL.createObjectURL(new Blob([module], { type: "text/javascript" }));
  runtime = await import(address);
  const gpu = config.webgpu && (await hasGPU());
  const cores = self.crossOriginIsolated && !gpu ? navigator.hardwareConcurrency : 1;
  const threads = Math.min(config.mostThreads, cores);
  Object.assign(runtime.env.wasm, { wasmBinary: wasm, numThreads: threads });
  runtime.env.logLevel = "error";
  session = await runtime.InferenceSession.create(network, {
    executionProviders: gpu ? ["webgpu", "wasm"] : ["wasm"],
    graphOptimizationLevel: "all",
    enableCpuMemArena: true,
    logSeverityLevel: 3, // WebGPU's warns of each network that sizes are computed elsewhere
  });
  URL.revokeObjectURL(address);
  if (gpu) return "WebGPU";
  return threads === 1 ? "one thread" : `${threads} threads`;
}

// Whether WebGPU is there and gives a device: some browsers know it and have none.
async function hasGPU() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    (await adapter?.requestDevice())?.destroy();
    return Boolean(adapter);
  } catch {
    return false;
  }
}

// Base64 of gzip -> its content.
async function unpacked(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function label({ data, width, height, smooth, isLive, place }) {
  const watch = new Stopwatch();
  const picture = { data: new Uint8ClampedArray(data), width, height, isLive };
  let labels = await PLACES[place](picture, watch);
  if (smooth > 1) {
    labels = smoother.next(labels, smooth);
    watch.lap("smooth");
  } else {
    smoother.reset();
  }
  const counts = counted(labels, config.labels.names.length);
  const found = { kind: "labels", labels, counts, width, height, ms: watch.ms };
  self.postMessage(found, [labels.buffer]);
}

async function labelsFromHere(picture, watch) {
  const { width, height } = picture;
  const seen = config.size ?? [height, width];
  const rgb = resized(picture, ...seen);
  watch.lap("resize");
  const logits = await run(rgb, seen);
  watch.lap("network");
  const labels = labelsOf(logits, config.enlargement, seen, height, width);
  watch.lap("decode");
  return labels;
}

async function run(rgb, [height, width]) {
  const images = new runtime.Tensor("uint8", rgb, [1, height, width, 3]);
  const { [config.output]: found } = await session.run({ [config.input]: images });
  const [, classes, rows, columns] = found.dims;
  return { data: found.data, classes, height: rows, width: columns };
}

function counted(labels, classes) {
  const counts = new Array(classes).fill(0);
  for (const label of labels) counts[label]++;
  return counts;
}

class Stopwatch {
  constructor() {
    this.ms = {};
    this.last = performance.now();
  }

  lap(stage) {
    const now = performance.now();
    this.ms[stage] = now - this.last;
    this.last = now;
  }
}
