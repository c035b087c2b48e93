// What the page's controls and keys do.

function fileName(end) {
  return `${view.shown.name}_${end}.png`;
}

function savePicture() {
  view.canvas.toBlob((blob) => save(blob, fileName("overlay")), "image/png");
}

async function saveLabels() {
  save(await labelsPng(view.shown.result), fileName("labels"));
}

function showSettings() {
  element("opacity-now").textContent = `${element("opacity").value} %`;
  const frames = Number(element("smooth").value);
  element("smooth-now").textContent = frames === 1 ? "off" : `${frames} frames`;
  view.setOpacity(element("opacity").value / 100);
}

// One step of a slider, up or down.
function step(id, isUp) {
  if (isUp) element(id).stepUp();
  else element(id).stepDown();
  showSettings();
}

const PRESSES = {
  camera: () => (source?.track ? stopCamera() : useCamera()),
  freeze: () => freeze(!isFrozen),
  save: savePicture,
  "save-labels": saveLabels,
  all: () => view.switchAll(true),
  none: () => view.switchAll(false),
};

const KEYS = {
  c: () => element("camera").click(),
  o: () => element("file").click(),
  f: () => element("freeze").click(),
  s: () => element("save").click(),
  l: () => element("save-labels").click(),
  "+": () => step("opacity", true),
  "-": () => step("opacity", false),
  "]": () => step("smooth", true),
  "[": () => step("smooth", false),
  0: () => view.switchAll(!view.isOn.every(Boolean)),
  "?": () => (element("keys").open = !element("keys").open),
};

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const key = event.key.toLowerCase();
  const index = key >= "1" && key <= "9" ? Number(key) - 1 : -1;
  if (index >= 0 && index < view.isOn.length) view.switchClass(index, !view.isOn[index]);
  else if (Object.hasOwn(KEYS, key)) KEYS[key]();
  else return;
  event.preventDefault();
}

function listen() {
  for (const [id, act] of Object.entries(PRESSES)) element(id).addEventListener("click", act);
  for (const id of ["opacity", "smooth"]) element(id).addEventListener("input", showSettings);
  element("cameras").addEventListener("change", ({ target }) => useCamera(target.value));
  element("file").addEventListener("change", ({ target }) => {
    if (target.files.length) openFile(target.files[0]);
    target.value = ""; // so that the same file can be opened again
  });
  element("place")?.addEventListener("change", relabel);
  document.addEventListener("keydown", press);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    element("stage").classList.add("is-target");
  });
  document.addEventListener("dragleave", () => element("stage").classList.remove("is-target"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    element("stage").classList.remove("is-target");
    const [file] = event.dataTransfer.files;
    if (file && worker) openFile(file);
  });
  showSettings();
}

listen();
begin();
