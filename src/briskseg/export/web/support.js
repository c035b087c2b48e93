// What this browser must have, said in sentences where it lacks it.

// The smallest module with an instruction of WebAssembly's SIMD.
const SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15,
  253, 98, 11,
];

// What the page cannot do without, "" where all is there.
function whatIsMissing() {
  const update = "use a current Chrome, Edge, Firefox or Safari.";
  if (typeof WebAssembly !== "object") {
    return `This browser has no WebAssembly, or it is switched off; ${update}`;
  }
  if (!WebAssembly.validate(new Uint8Array(SIMD))) {
    return `This browser's WebAssembly has no SIMD, which the network needs; ${update}`;
  }
  if (typeof DecompressionStream !== "function") {
    return `This browser cannot unpack the page's content (no DecompressionStream); ${update}`;
  }
  if (typeof Worker !== "function") {
    return `This browser has no workers, in which the network runs; ${update}`;
  }
  return "";
}

const INSTEAD = "or open a picture or video.";
const AGAIN = "then press Camera again.";

// Why there is no camera to ask for, "" where there may be one.
function whyNoCamera() {
  if (navigator.mediaDevices?.getUserMedia) return "";
  if (location.protocol === "file:") {
    const found = "This browser gives no camera to a page opened from a file";
    return `${found}; serve its folder and open it from http://localhost, ${INSTEAD}`;
  }
  if (!window.isSecureContext) {
    const found = "Browsers give the camera only to pages from https:// or localhost";
    return `${found}; serve this page so, ${INSTEAD}`;
  }
  return "This browser gives pages no camera; open a picture or video.";
}

const CAMERA_FAULTS = {
  NotAllowedError: `The camera was refused; allow it beside the page's address, ${AGAIN}`,
  NotFoundError: `No camera was found; connect one, ${AGAIN}`,
  NotReadableError: `The camera cannot be read; close other programs that use it, ${AGAIN}`,
  OverconstrainedError: "That camera is gone; choose another one.",
};

function cameraFault(error) {
  return CAMERA_FAULTS[error.name] ?? `The camera cannot be used: ${error.message || error.name}.`;
}
