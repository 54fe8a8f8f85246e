// A client of the service in another language: ZMTP 3.0 (NULL, DEALER) over TCP and msgpack, without packages.
// Usage: node client.mjs HOST PORT; prints one JSON document of what it was told.
import net from "node:net";

const [host, port] = process.argv.slice(2);

// --- msgpack: maps, arrays, strings, integers, booleans, nil ----------------------------------------
function pack(value) {
  if (value === null) return Buffer.from([0xc0]);
  if (typeof value === "boolean") return Buffer.from([value ? 0xc3 : 0xc2]);
  if (typeof value === "bigint" || typeof value === "number") {
    const wide = Buffer.alloc(9);
    wide[0] = 0xd3;
    wide.writeBigInt64BE(BigInt(value), 1);
    return wide;
  }
  if (typeof value === "string") {
    const text = Buffer.from(value);
    return Buffer.concat([Buffer.from([0xda, text.length >> 8, text.length & 255]), text]);
  }
  const entries = Object.entries(value).flat();
  return Buffer.concat([Buffer.from([0x80 | (entries.length / 2)]), ...entries.map(pack)]);
}

function unpack(data) {
  let at = 0;
  const take = (count) => data.subarray(at, (at += count));
  const number = (count) => [...take(count)].reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  const many = (count, next) => Array.from({ length: Number(count) }, next);
  const list = (count) => many(count, value);
  const map = (count) => Object.fromEntries(many(count, () => [value(), value()]));
  const text = (count) => take(Number(count)).toString();
  function value() {
    const kind = take(1)[0];
    if (kind < 0x80) return kind;
    if (kind < 0x90) return map(kind & 15);
    if (kind < 0xa0) return list(kind & 15);
    if (kind < 0xc0) return text(kind & 31);
    if (kind >= 0xe0) return kind - 256;
    if (kind === 0xc0) return null;
    if (kind === 0xc2 || kind === 0xc3) return kind === 0xc3;
    if (kind >= 0xcc && kind <= 0xcf) return narrow(number(1 << (kind - 0xcc)));
    if (kind >= 0xd0 && kind <= 0xd3) return narrow(BigInt.asIntN(8 << (kind - 0xd0), number(1 << (kind - 0xd0))));
    if (kind >= 0xd9 && kind <= 0xdb) return text(number(1 << (kind - 0xd9)));
    if (kind === 0xdc || kind === 0xdd) return list(number(kind === 0xdc ? 2 : 4));
    if (kind === 0xde || kind === 0xdf) return map(number(kind === 0xde ? 2 : 4));
    throw new Error(`msgpack: ${kind.toString(16)}`);
  }
  const narrow = (wide) => (Number.isSafeInteger(Number(wide)) ? Number(wide) : wide);
  return value();
}

// --- ZMTP 3.0: greeting, READY, frames -----------------------------------------------------------------
const socket = net.connect(Number(port), host);
let received = Buffer.alloc(0);
let wake = () => {};
socket.on("data", (data) => {
  received = Buffer.concat([received, data]);
  wake();
});

async function read(count) {
  while (received.length < count) await new Promise((resolve) => (wake = resolve));
  const taken = received.subarray(0, count);
  received = received.subarray(count);
  return taken;
}

function frame(flags, body) {
  const long = body.length > 255;
  const size = Buffer.alloc(long ? 8 : 1);
  long ? size.writeBigUInt64BE(BigInt(body.length)) : size.writeUInt8(body.length);
  return Buffer.concat([Buffer.from([flags | (long ? 2 : 0)]), size, body]);
}

async function readFrame() {
  const flags = (await read(1))[0];
  const size = flags & 2 ? Number((await read(8)).readBigUInt64BE()) : (await read(1))[0];
  return { more: (flags & 1) === 1, command: (flags & 4) === 4, body: await read(size) };
}

const send = (frames) =>
  socket.write(Buffer.concat(frames.map((body, n) => frame(n < frames.length - 1 ? 1 : 0, body))));

async function receive() {
  const frames = [];
  for (;;) {
    const { more, command, body } = await readFrame();
    if (command) continue;
    frames.push(body);
    if (!more) return frames;
  }
}

async function shakeHands() {
  const greeting = Buffer.alloc(64);
  greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0], 0);
  greeting.write("NULL", 12);
  socket.write(greeting);
  const theirs = await read(64);
  if (theirs[0] !== 0xff || theirs[10] < 3) throw new Error("not ZMTP 3");
  const property = (name, text) => {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(text.length);
    return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), size, Buffer.from(text)]);
  };
  socket.write(frame(4, Buffer.concat([Buffer.from("\x05READY"), property("Socket-Type", "DEALER")])));
  const { command, body } = await readFrame();
  if (!command || body.toString("latin1", 1, 6) !== "READY") throw new Error(`not ready: ${body}`);
}

// --- the service's protocol ----------------------------------------------------------------------------
let nextId = 0;
async function ask(verb, args = {}, rows) {
  const id = nextId++;
  const head = pack({ v: 1, client: "node", id, verb, args });
  send([Buffer.alloc(0), head, ...(rows ? [rows] : [])]);
  const [empty, body, answered] = await receive();
  const answer = unpack(body);
  if (empty.length !== 0 || answer.id !== id) throw new Error("not the answer to this request");
  if (answer.error) throw new Error(`${answer.error.code}: ${answer.error.message}`);
  return { ...answer.ok, rows: answered ?? null };
}

const NOON_NS = 1383620400n * 1_000_000_000n;
const V4_MAPPED = 0xffff00000000n;

function packets(hello, endpoint, count, fromNs) {
  const columns = Object.fromEntries(hello.packet.map(([name, , offset]) => [name, offset]));
  const rows = Buffer.alloc(count * hello.packet_bytes);
  for (let n = 0; n < count; n++) {
    const at = n * hello.packet_bytes;
    rows.writeBigInt64LE(fromNs + BigInt(n) * 1_000_000n, at + columns.time_ns);
    rows.writeBigInt64LE(V4_MAPPED | 0x0a010001n, at + columns.src_lo); // 10.1.0.1
    rows.writeBigInt64LE(V4_MAPPED | 0xc6120050n, at + columns.dst_lo); // 198.18.0.80
    rows.writeUInt32LE(1, at + columns.teid);
    rows.writeInt32LE(endpoint, at + columns.endpoint);
    rows.writeInt32LE(1_000, at + columns.length);
    rows.writeUInt8(17, at + columns.protocol);
    rows.writeUInt16LE(1, at + columns.flags); // a G-PDU
  }
  return rows;
}

function verdicts(hello, rows) {
  const columns = Object.fromEntries(hello.verdict.map(([name, , offset]) => [name, offset]));
  return Array.from({ length: rows.length / hello.verdict_bytes }, (_, n) => {
    const at = n * hello.verdict_bytes;
    return {
      departure_ns: String(rows.readBigInt64LE(at + columns.departure_ns)),
      code: rows.readInt32LE(at + columns.code),
      charged_bytes: rows.readInt32LE(at + columns.charged_bytes),
    };
  });
}

await shakeHands();
const hello = await ask("hello");
const iccid = "8981100000000000001";
const imsi = "440100000000001";
const addresses = { address: "10.1.0.1", gateway: "203.0.113.1" };
const { line } = await ask("attach", { iccid, imsi, teid_up: 1, teid_down: 2, ...addresses, at_ns: NOON_NS });
const { index } = await ask("endpoint", { address: "203.0.113.1" });
const fast = await ask("process", {}, packets(hello, index, 3, NOON_NS));
await ask("switch", { line, on: false, at_ns: NOON_NS + 3_000_000n });
const slow = await ask("process", {}, packets(hello, index, 3, NOON_NS + 3_000_000n));
const usage = await ask("usage", { line });
const refused = await ask("usage", { line: "nobody" }).catch((error) => error.message);
await ask("close");
socket.end();
const fastVerdicts = verdicts(hello, fast.rows);
const slowVerdicts = verdicts(hello, slow.rows);
const text = JSON.stringify({ line, fast: fastVerdicts, slow: slowVerdicts, usage, refused });
process.stdout.write(`${text}\n`);
