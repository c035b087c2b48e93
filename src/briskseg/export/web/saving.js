// Files that the page gives: pictures as shown, and labels as `briskseg predict` writes them.

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Labels as a PNG of one channel, 8 bits: class indices.
async function labelsPng({ labels, width, height }) {
  const rows = new Uint8Array(height * (width + 1)); // each row begins with 0: not filtered
  for (let y = 0; y < height; y++) {
    rows.set(labels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  }
  const stream = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const packed = new Uint8Array(await new Response(stream).arrayBuffer());
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8); // bits; the zeros after it: gray, deflate, filters by row, not interlaced
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const begin = chunk("IHDR", new Uint8Array(header.buffer));
  const end = chunk("IEND", new Uint8Array());
  return new Blob([signature, begin, chunk("IDAT", packed), end], { type: "image/png" });
}

function chunk(kind, content) {
  const bytes = new Uint8Array(content.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set([...kind].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(content, 8);
  view.setUint32(content.length + 8, crc32(bytes.subarray(4, content.length + 8)));
  return bytes;
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
