// Pictures resized as OpenCV does, which `briskseg predict` uses: by area where both sides shrink
// or stay, else bilinearly. A picture is {data, width, height}, the data RGBA, a byte a channel.

const BITS = 11; // of the weights of OpenCV's bilinear resizing
const resizings = new Map(); // the last way of resizing, by what it is for

// RGBA of one size -> RGB (height, width, 3) of another.
function resized(picture, height, width) {
  if (picture.height === height && picture.width === width) return withoutAlpha(picture);
  const key = [picture.height, picture.width, height, width].join();
  if (!resizings.has(key)) {
    resizings.clear();
    resizings.set(key, wayOfResizing(picture, height, width));
  }
  return resizings.get(key)(picture);
}

function withoutAlpha({ data, width, height }) {
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = data[from];
    rgb[to + 1] = data[from + 1];
    rgb[to + 2] = data[from + 2];
  }
  return rgb;
}

function wayOfResizing(picture, height, width) {
  const down = picture.height / height;
  const across = picture.width / width;
  if (down < 1 || across < 1) {
    const rows = bilinearTaps(picture.height, height, false);
    const columns = bilinearTaps(picture.width, width, true);
    return (from) => bilinear(from, rows, columns, height, width);
  }
  if (Number.isInteger(down) && Number.isInteger(across)) {
    return (from) => byWholeBlocks(from, down, across, height, width);
  }
  const rows = areaTaps(picture.height, height);
  const columns = areaTaps(picture.width, width);
  return (from) => byArea(from, rows, columns, height, width);
}

// For each of `size` pixels: the one before its center, the one after, and their weights of 11
// bits. At the ends both are the same one, and OpenCV gives columns, not rows, a weight of 0 there.
function bilinearTaps(length, size, isColumns) {
  const before = new Int32Array(size);
  const after = new Int32Array(size);
  const weight = new Int32Array(size);
  for (let pixel = 0; pixel < size; pixel++) {
    const center = Math.fround((pixel + 0.5) * (length / size) - 0.5);
    const left = Math.floor(center);
    const isEnd = left < 0 || left >= length - 1;
    before[pixel] = Math.max(left, 0);
    after[pixel] = Math.min(left + 1, length - 1);
    weight[pixel] = isEnd && isColumns ? 0 : halfToEven(Math.fround(center - left) * (1 << BITS));
    if (isEnd && isColumns) after[pixel] = before[pixel];
  }
  return { before, after, weight };
}

function bilinear({ data, width }, rows, columns, toHeight, toWidth) {
  const one = 1 << BITS;
  const rgb = new Uint8Array(toHeight * toWidth * 3);
  const blended = [new Int32Array(toWidth * 3), new Int32Array(toWidth * 3)];
  const held = [-1, -1]; // the rows that `blended` holds
  const blend = (row, line) => {
    for (let x = 0, to = 0; x < toWidth; x++) {
      const right = columns.weight[x];
      const a = (row * width + columns.before[x]) * 4;
      const b = (row * width + columns.after[x]) * 4;
      for (let channel = 0; channel < 3; channel++) {
        line[to++] = data[a + channel] * (one - right) + data[b + channel] * right;
      }
    }
  };
  for (let y = 0, to = 0; y < toHeight; y++) {
    const wanted = [rows.before[y], rows.after[y]];
    if (held[1] === wanted[0]) {
      blended.reverse();
      held.reverse();
    }
    for (const i of [0, 1]) {
      if (held[i] !== wanted[i]) blend((held[i] = wanted[i]), blended[i]);
    }
    const [upper, lower] = blended;
    const under = rows.weight[y];
    for (let x = 0; x < toWidth * 3; x++) {
      const a = ((one - under) * (upper[x] >> 4)) >> 16;
      const b = (under * (lower[x] >> 4)) >> 16;
      rgb[to++] = (a + b + 2) >> 2;
    }
  }
  return rgb;
}

// Means of blocks of whole pixels. Halves go up in blocks of 2x2, else to the even number.
function byWholeBlocks({ data, width }, down, across, toHeight, toWidth) {
  const rgb = new Uint8Array(toHeight * toWidth * 3);
  const share = Math.fround(1 / (down * across));
  const isTwo = down === 2 && across === 2;
  const mean = (sum) => (isTwo ? (sum + 2) >> 2 : halfToEven(Math.fround(sum * share)));
  for (let y = 0, to = 0; y < toHeight; y++) {
    for (let x = 0; x < toWidth; x++) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let row = y * down; row < (y + 1) * down; row++) {
        const start = (row * width + x * across) * 4;
        for (let at = start; at < start + across * 4; at += 4) {
          red += data[at];
          green += data[at + 1];
          blue += data[at + 2];
        }
      }
      rgb[to++] = mean(red);
      rgb[to++] = mean(green);
      rgb[to++] = mean(blue);
    }
  }
  return rgb;
}

// For each of `size` pixels: the first pixel that it covers, how many, and from where in `weight`.
function areaTaps(length, size) {
  const step = length / size;
  const taps = { first: [], start: [0], weight: [] };
  for (let pixel = 0; pixel < size; pixel++) {
    const begin = pixel * step;
    const end = begin + step;
    const covered = Math.min(step, length - begin);
    const last = Math.min(Math.floor(end), length - 1);
    const whole = Math.min(Math.ceil(begin), last);
    const partial = whole - begin > 1e-3;
    taps.first.push(partial ? whole - 1 : whole);
    if (partial) taps.weight.push((whole - begin) / covered);
    for (let i = whole; i < last; i++) taps.weight.push(1 / covered);
    if (end - last > 1e-3) taps.weight.push(Math.min(end - last, 1, covered) / covered);
    taps.start.push(taps.weight.length);
  }
  const { first, start, weight } = taps;
  return {
    first: Int32Array.from(first),
    start: Int32Array.from(start),
    weight: Float32Array.from(weight),
  };
}

function byArea({ data, width }, rows, columns, toHeight, toWidth) {
  const rgb = new Uint8Array(toHeight * toWidth * 3);
  const sums = new Float32Array(toWidth * 3);
  for (let y = 0; y < toHeight; y++) {
    sums.fill(0);
    for (let tap = rows.start[y], row = rows.first[y]; tap < rows.start[y + 1]; tap++, row++) {
      addRow(sums, data, row * width, columns, rows.weight[tap], toWidth);
    }
    for (let x = 0, to = y * toWidth * 3; x < sums.length; x++) rgb[to++] = halfToEven(sums[x]);
  }
  return rgb;
}

function addRow(sums, data, rowStart, columns, share, toWidth) {
  const { first, start, weight } = columns;
  const fround = Math.fround; // OpenCV adds in single precision
  for (let x = 0; x < toWidth; x++) {
    let red = 0;
    let green = 0;
    let blue = 0;
    let at = (rowStart + first[x]) * 4;
    for (let tap = start[x]; tap < start[x + 1]; tap++, at += 4) {
      red = fround(red + fround(data[at] * weight[tap]));
      green = fround(green + fround(data[at + 1] * weight[tap]));
      blue = fround(blue + fround(data[at + 2] * weight[tap]));
    }
    sums[3 * x] += fround(red * share);
    sums[3 * x + 1] += fround(green * share);
    sums[3 * x + 2] += fround(blue * share);
  }
}

function halfToEven(value) {
  const rounded = Math.floor(value + 0.5);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
