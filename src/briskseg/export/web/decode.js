// Logits to labels at the picture's size: what bilinear enlarging and argmax give, exactly, without
// making the full-size logits. Every pixel lies between four cells of the logits; where one class
// wins all four it wins the pixel, so only pixels near borders are interpolated. The same steps, in
// the same single precision, as `briskseg.runtime.decode`, which says why.
//
// Logits are {data, classes, height, width}, the data a Float32Array (classes, height, width).

const LOWEST = Math.fround(-1e30); // what a logit of -inf counts as

// As `Enlargement.labels`: labels of height x width for logits of a picture that the network saw at
// seen = [height, width]. enlargement: {factor, alignCorners}.
function labelsOf(logits, enlargement, seen, height, width) {
  const { factor, alignCorners } = enlargement;
  const whole = factor === null ? seen : [logits.height * factor, logits.width * factor];
  const isCropped = whole[0] !== seen[0] || whole[1] !== seen[1];
  if (!isCropped) return decoded(logits, height, width, alignCorners);
  if (seen[0] === height && seen[1] === width) {
    return cropped(decoded(logits, whole[0], whole[1], alignCorners), whole[1], height, width);
  }
  return decoded(enlargedTo(logits, whole, seen, alignCorners), height, width, alignCorners);
}

// (C, h, w) -> labels (height, width), a byte a pixel; of equal logits the lower class wins.
function decoded(logits, height, width, alignCorners) {
  const winners = winnersOf(logits);
  const rows = runsOf(logits.height, height, alignCorners);
  const columns = runsOf(logits.width, width, alignCorners);
  const labels = new Uint8Array(height * width);
  const cells = new Int32Array(4);
  const patch = { labels, width, cells, corners: new Float32Array(4 * logits.classes) };
  for (const down of rows) {
    const top = down.before * logits.width;
    const bottom = down.after * logits.width;
    for (const across of columns) {
      cells[0] = top + across.before;
      cells[1] = top + across.after;
      cells[2] = bottom + across.before;
      cells[3] = bottom + across.after;
      const winner = winners[cells[0]];
      if (cells.every((cell) => winners[cell] === winner)) {
        fill(patch, down, across, winner);
      } else {
        decide(patch, logits, winners, down, across);
      }
    }
  }
  return labels;
}

function winnersOf({ data, classes, height, width }) {
  const cells = height * width;
  const winners = new Uint8Array(cells);
  const best = data.slice(0, cells);
  for (let index = 1; index < classes; index++) {
    const plane = index * cells;
    for (let cell = 0; cell < cells; cell++) {
      const value = data[plane + cell];
      if (value > best[cell] || Number.isNaN(value)) { // a NaN stays, for the check below
        best[cell] = value;
        winners[cell] = index;
      }
    }
  }
  if (!best.every(Number.isFinite)) {
    throw new Error(
      "The network's output holds NaN or infinity: its weights are damaged; export others.",
    );
  }
  return winners;
}

// For each pixel along an axis: the cell before it, the one after, and the latter's weight.
function neighborsOf(cells, pixels, alignCorners) {
  const before = new Int32Array(pixels);
  const after = new Int32Array(pixels);
  const weight = new Float32Array(pixels);
  const fround = Math.fround;
  const scale = fround(alignCorners ? (cells - 1) / Math.max(1, pixels - 1) : cells / pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const position = alignCorners
      ? fround(pixel * scale)
      : Math.max(fround(fround(fround(pixel + 0.5) * scale) - 0.5), 0);
    before[pixel] = Math.min(Math.floor(position), cells - 1);
    after[pixel] = Math.min(before[pixel] + 1, cells - 1);
    weight[pixel] = Math.min(Math.max(position - before[pixel], 0), 1);
  }
  return { before, after, weight };
}

// An axis as runs of pixels between the same two cells: [{start, end, before, after, weight}].
function runsOf(cells, pixels, alignCorners) {
  const { before, after, weight } = neighborsOf(cells, pixels, alignCorners);
  const isBlended = (pixel) => weight[pixel] > 0;
  const runs = [];
  for (let start = 0, end = 1; start < pixels; start = end++) {
    // Those in front of the first center take nothing of the second cell: a run of their own.
    const isFront = start === 0 && !isBlended(0);
    while (end < pixels && before[end] === before[start] && !(isFront && isBlended(end))) end++;
    let blended = false;
    for (let pixel = start; pixel < end; pixel++) blended ||= isBlended(pixel);
    const second = blended ? after[start] : before[start];
    runs.push({ start, end, before: before[start], after: second, weight });
  }
  return runs;
}

function fill({ labels, width }, down, across, label) {
  for (let y = down.start; y < down.end; y++) {
    for (let at = y * width + across.start; at < y * width + across.end; at++) labels[at] = label;
  }
}

// A patch whose four cells have not all the same winner. Nearly always two classes win all there is
// to win: any other lies at or below one of the two in all four cells.
function decide(patch, logits, winners, down, across) {
  const { corners, cells } = patch;
  const size = logits.height * logits.width;
  let first = 255;
  let second = 0;
  for (let i = 0; i < 4; i++) {
    first = Math.min(first, winners[cells[i]]);
    second = Math.max(second, winners[cells[i]]);
    for (let index = 0; index < logits.classes; index++) {
      corners[4 * index + i] = Math.max(logits.data[index * size + cells[i]], LOWEST);
    }
  }
  const isPair = cells.every((cell) => winners[cell] === first || winners[cell] === second);
  if (isPair && isBetween(corners, logits.classes, first, second)) {
    decidePair(patch, first, second, down, across);
  } else {
    decideAll(patch, logits.classes, down, across);
  }
}

// Whether no class but these two can win.
function isBetween(corners, classes, first, second) {
  for (let index = 0; index < classes; index++) {
    if (index === first || index === second) continue;
    let aboveFirst = false;
    let aboveSecond = false;
    for (let i = 0; i < 4; i++) {
      const value = corners[4 * index + i];
      aboveFirst ||= value > corners[4 * first + i];
      aboveSecond ||= value > corners[4 * second + i];
    }
    if (aboveFirst && aboveSecond) return false;
  }
  return true;
}

function decidePair({ labels, width, corners }, first, second, down, across) {
  const fround = Math.fround;
  const difference = (i) => fround(corners[4 * first + i] - corners[4 * second + i]);
  const [a, b, c, d] = [difference(0), difference(1), difference(2), difference(3)];
  for (let y = down.start; y < down.end; y++) {
    const under = down.weight[y];
    const left = between(a, c, under);
    const right = between(b, d, under);
    for (let x = across.start; x < across.end; x++) {
      labels[y * width + x] = between(left, right, across.weight[x]) < 0 ? second : first;
    }
  }
}

function decideAll({ labels, width, corners }, classes, down, across) {
  for (let y = down.start; y < down.end; y++) {
    const under = down.weight[y];
    for (let x = across.start; x < across.end; x++) {
      let best = -Infinity;
      let winner = 0;
      for (let at = 0, index = 0; index < classes; index++, at += 4) {
        const left = between(corners[at], corners[at + 2], under);
        const right = between(corners[at + 1], corners[at + 3], under);
        const value = between(left, right, across.weight[x]);
        if (value > best) {
          best = value;
          winner = index;
        }
      }
      labels[y * width + x] = winner;
    }
  }
}

// Two numbers blended in single precision, `weight` of the second.
function between(a, b, weight) {
  const fround = Math.fround;
  return fround(fround(a * fround(1 - weight)) + fround(b * weight));
}

function cropped(labels, fromWidth, height, width) {
  const kept = new Uint8Array(height * width);
  for (let y = 0; y < height; y++) {
    kept.set(labels.subarray(y * fromWidth, y * fromWidth + width), y * width);
  }
  return kept;
}

// Logits enlarged to `whole` and cropped to `seen`, both [height, width].
function enlargedTo({ data, classes, height, width }, whole, seen, alignCorners) {
  const rows = neighborsOf(height, whole[0], alignCorners);
  const columns = neighborsOf(width, whole[1], alignCorners);
  const full = new Float32Array(classes * seen[0] * seen[1]);
  for (let index = 0, to = 0; index < classes; index++) {
    for (let y = 0; y < seen[0]; y++) {
      const top = (index * height + rows.before[y]) * width;
      const bottom = (index * height + rows.after[y]) * width;
      for (let x = 0; x < seen[1]; x++) {
        const left = columns.before[x];
        const right = columns.after[x];
        const upper = between(data[top + left], data[top + right], columns.weight[x]);
        const lower = between(data[bottom + left], data[bottom + right], columns.weight[x]);
        full[to++] = between(upper, lower, rows.weight[y]);
      }
    }
  }
  return { data: full, classes, height: seen[0], width: seen[1] };
}
