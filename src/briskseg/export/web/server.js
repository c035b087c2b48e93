// In a page that a server gives: labels from that server, by its POST /segment.

const TRIES = 5; // of a server that is busy

PLACES.server = async (picture, watch) => {
  const body = await encoded(picture);
  watch.lap("encode");
  const runs = await asked(body);
  const labels = new Uint8Array(runs.height * runs.width);
  let at = 0;
  runs.labels.forEach((label, index) => {
    labels.fill(label, at, at + runs.lengths[index]);
    at += runs.lengths[index];
  });
  watch.lap("server");
  return labels;
};

// A single picture without loss; a camera's and a video's small.
function encoded({ data, width, height, isLive }) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  const how = isLive ? { type: "image/jpeg", quality: 0.92 } : { type: "image/png" };
  return canvas.convertToBlob(how);
}

async function asked(body) {
  const address = new URL("segment?as=runs", config.address);
  for (let left = TRIES; left; left--) {
    const answer = await reached(address, { method: "POST", body });
    const said = await answer.json();
    if (answer.ok) return said;
    if (answer.status !== 503 || left === 1) throw new Error(`The server answers: ${said.error}.`);
    await new Promise((resolve) => setTimeout(resolve, 1000 * answer.headers.get("Retry-After")));
  }
}

async function reached(address, request) {
  try {
    return await fetch(address, request);
  } catch {
    throw new Error("The server cannot be reached; is it still running?");
  }
}
