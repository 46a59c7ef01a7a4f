/**
 * Reads which name a TLS client asks for, out of its first bytes (RFC 8446 4.1.2, RFC 6066 3). It checks no more than it
 * needs to find the name: OpenSSL reads the same bytes again, and refuses what is wrong with them.
 */

/** What a client that speaks TLS has asked for: a name in lower case; undefined where it named none. */
export interface Hello {
  readonly name: string | undefined
}

const RECORD_HEAD_BYTES = 5
const MESSAGE_HEAD_BYTES = 4
const HANDSHAKE = 22
const MAJOR_VERSION = 3
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
const RANDOM_BYTES = 32

/** Above this a client is no browser and no library any more. Those with post-quantum keys have less than 2 KiB. */
const HELLO_BYTES_MAX = 16 * 1024
const RECORDS_MAX = 16
const CHUNKS_MAX = 64
/** RFC 8446 5.1. */
const RECORD_BYTES_MAX = 16 * 1024

/**
 * The first bytes of a client, as they come. They are looked at when a record is whole: with a look at each byte of a client
 * that sends them one by one, 16 KiB would cost seconds.
 */
export class HelloReader {
  #chunks: Buffer[] = []
  #length = 0
  #nextLook = 1

  /** What `readClientHello` says of all that has come. */
  read(chunk: Buffer): Hello | 'more' | undefined {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    if (this.#length < this.#nextLook) {
      // A chunk takes more memory than its few bytes.
      if (this.#chunks.length === CHUNKS_MAX) void this.bytes
      return 'more'
    }
    const { bytes } = this
    const hello = readClientHello(bytes)
    if (hello === 'more') this.#nextLook = nextLook(bytes)
    return hello
  }

  get bytes(): Buffer {
    const [first] = this.#chunks
    const bytes = this.#chunks.length === 1 && first ? first : Buffer.concat(this.#chunks)
    this.#chunks = [bytes]
    return bytes
  }
}

/** How many bytes have to be there until the head, or the rest, of the record that has begun is. */
function nextLook(bytes: Buffer): number {
  let start = 0
  while (start + RECORD_HEAD_BYTES <= bytes.length) {
    const end = start + RECORD_HEAD_BYTES + bytes.readUInt16BE(start + 3)
    if (end > bytes.length) return end
    start = end
  }
  return start + RECORD_HEAD_BYTES
}

/** 'more' while the whole of it is not there yet; undefined for what is no ClientHello. */
export function readClientHello(bytes: Buffer): Hello | 'more' | undefined {
  const message = readMessage(bytes)
  if (!Buffer.isBuffer(message)) return message
  try {
    return { name: readName(new Reader(message)) }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** The body of the first handshake message, which may be in several records. */
function readMessage(bytes: Buffer): Buffer | 'more' | undefined {
  const parts: Buffer[] = []
  let start = 0
  let length = 0
  while (parts.length < RECORDS_MAX) {
    if (start < bytes.length && bytes[start] !== HANDSHAKE) return undefined
    if (start + 1 < bytes.length && bytes[start + 1] !== MAJOR_VERSION) return undefined
    if (start + RECORD_HEAD_BYTES > bytes.length) return 'more'
    const recordBytes = bytes.readUInt16BE(start + 3)
    if (recordBytes > RECORD_BYTES_MAX) return undefined
    const end = start + RECORD_HEAD_BYTES + recordBytes
    const part = bytes.subarray(start + RECORD_HEAD_BYTES, end)
    parts.push(part)
    length += part.length
    const message = wholeMessage(parts, length)
    if (message !== 'more') return message
    if (end > bytes.length) return 'more'
    // RFC 8446 5.1: a handshake record is not empty.
    if (part.length === 0) return undefined
    start = end
  }
  return undefined
}

function wholeMessage(parts: readonly Buffer[], length: number): Buffer | 'more' | undefined {
  if (length > 0 && parts[0]?.[0] !== CLIENT_HELLO) return undefined
  if (length < MESSAGE_HEAD_BYTES) return 'more'
  const message = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
  const end = MESSAGE_HEAD_BYTES + message.readUIntBE(1, 3)
  if (end > HELLO_BYTES_MAX) return undefined
  return length < end ? 'more' : message.subarray(MESSAGE_HEAD_BYTES, end)
}

function readName(hello: Reader): string | undefined {
  hello.skip(2 + RANDOM_BYTES)
  hello.vector(1) // Session id.
  hello.vector(2) // Ciphers.
  hello.vector(1) // Compression.
  if (hello.isAtEnd) return undefined
  const extensions = hello.vector(2)
  while (!extensions.isAtEnd) {
    const type = extensions.number(2)
    const extension = extensions.vector(2)
    if (type !== SERVER_NAME) continue
    const names = extension.vector(2)
    while (!names.isAtEnd) {
      const kind = names.number(1)
      const name = names.vector(2)
      if (kind === HOST_NAME) return name.text()
    }
  }
  return undefined
}

/** Throws RangeError for whatever ends too early. */
class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  skip(bytes: number): void {
    this.#take(bytes)
  }

  number(bytes: number): number {
    return this.#take(bytes).readUIntBE(0, bytes)
  }

  /** What a length of so many bytes stands before. */
  vector(lengthBytes: number): Reader {
    return new Reader(this.#take(this.number(lengthBytes)))
  }

  text(): string {
    return this.#bytes.toString('latin1').toLowerCase()
  }

  #take(bytes: number): Buffer {
    const end = this.#at + bytes
    if (end > this.#bytes.length) throw new RangeError('the message ends early')
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }
}
