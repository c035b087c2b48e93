// Where pictures come from. A source has a name, isLive, its size in pixels (width, height),
// draw(context), which draws its picture at that size, whenNew(callback), which calls back each
// time there is a new picture, freeze(isFrozen) and stop().

class Picture {
  isLive = false;

  // Raises where the file is no picture that the browser knows.
  static async open(file) {
    const picture = new Picture();
    picture.name = file.name;
    // As stored: not changed for the screen's colors, but upright.
    picture.bitmap = await createImageBitmap(file, {
      imageOrientation: "from-image",
      premultiplyAlpha: "none",
      colorSpaceConversion: "none",
    });
    ({ width: picture.width, height: picture.height } = picture.bitmap);
    return picture;
  }

  draw(context) {
    context.drawImage(this.bitmap, 0, 0);
  }

  whenNew(callback) {
    callback();
  }

  freeze() {}

  stop() {
    this.bitmap.close();
  }
}

// What a <video> plays: a file, or a camera's stream.
class Moving {
  isLive = true;
  isStopped = false;

  constructor(name) {
    this.name = name;
    this.video = document.createElement("video");
    Object.assign(this.video, { muted: true, playsInline: true, loop: true });
  }

  get width() {
    return this.video.videoWidth;
  }

  get height() {
    return this.video.videoHeight;
  }

  draw(context) {
    context.drawImage(this.video, 0, 0, this.width, this.height);
  }

  whenNew(callback) {
    const { video } = this;
    const wait = (then) => {
      if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(then);
      else requestAnimationFrame(then);
    };
    const next = () => {
      if (this.isStopped) return;
      if (this.width) callback();
      wait(next);
    };
    wait(next);
  }

  freeze(isFrozen) {
    if (isFrozen) this.video.pause();
    else this.video.play().catch(() => {}); // stopped before it began
  }

  stop() {
    this.isStopped = true;
    this.video.pause();
    this.video.srcObject?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
    if (this.address) URL.revokeObjectURL(this.address);
  }
}

// Raises where the browser cannot play the file.
async function openVideo(file) {
  const source = new Moving(file.name);
  source.address = URL.createObjectURL(file);
  source.video.src = source.address;
  try {
    await source.video.play();
  } catch (error) {
    source.stop();
    throw error;
  }
  return source;
}

// The camera of this id, or the one that faces away. wanted: [height, width], as near as it has.
// Raises where there is none, or it is refused.
async function openCamera(id, wanted, whenGone) {
  const [height, width] = wanted;
  const which = id ? { deviceId: { exact: id } } : { facingMode: { ideal: "environment" } };
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: false,
    video: { ...which, height: { ideal: height }, width: { ideal: width } },
  });
  const source = new Moving("camera");
  source.track = stream.getVideoTracks()[0];
  source.track.addEventListener("ended", whenGone);
  source.video.srcObject = stream;
  await source.video.play();
  return source;
}

// [{id, name}] of the cameras; their names are known once one was allowed.
async function cameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices
    .filter((device) => device.kind === "videoinput")
    .map(({ deviceId, label }, index) => ({ id: deviceId, name: label || `Camera ${index + 1}` }));
}
