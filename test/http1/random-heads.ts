/**
 * Random request and answer heads, made from a number alone: most are as clients and servers send them, many are wrong in
 * one place, and some in several.
 */

const CRLF = '\r\n'

/** A small generator of pseudo-random numbers (mulberry32). */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  /** From 0 to `below - 1`. */
  count(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }

  chance(one: number): boolean {
    return this.count(one) === 0
  }

  of<T>(list: readonly T[]): T {
    return list[this.count(list.length)] as T
  }

  /** Any bytes, as latin1. */
  bytes(max: number): string {
    return Array.from({ length: this.count(max + 1) }, () =>
      String.fromCharCode(this.count(256)),
    ).join('')
  }
}

/** Bytes that mean something to a parser. */
const MARKS = [
  ...Array.from('\r\n\t :;,/=?#%"\\\0\x01\x1f\x7f\x80\xa0\xff'),
  CRLF,
  CRLF + CRLF,
  '\r\n ',
  '\n\n',
]
const TOKENS = ['Upgrade', 'X-A', 'x!#$%&', 'A', 'Sec-WebSocket-Key', 'Cookie', 'TE', 'Host']
const VALUES = ['', ' ', 'a', ' a b ', '\ta\t', 'caf\xe9', 'a\xa0', 'a, b', '"a\\"b"', '0', 'a:b']
const FRAMING = ['Content-Length: 0', 'Transfer-Encoding: chunked', 'Expect: 100-continue']
const OPTIONS = ['Upgrade', 'upgrade', 'keep-alive, Upgrade', 'Upgrade, close', 'close', 'Upgrade,']
const PROTOCOLS = ['websocket', 'WebSocket', 'tcp', 'h2c, websocket', '', 'a/1, b']
const TARGETS = [
  '/',
  '/a/b?c=d',
  '/%2e%2e/x',
  '//a',
  '/a;b',
  '*',
  'http://a/b',
  '/\xe9',
  '/a b',
  '/#a',
]
const METHODS = ['GET', 'GET', 'GET', 'GET', 'get', 'POST', 'GETS', 'HEAD']
const VERSIONS = [
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/2.0',
  'http/1.1',
  'HTTP/1.1 ',
]
const REASONS = ['OK', '', 'Switching Protocols', 'caf\xe9', ' OK ', 'a\tb']
const STATUSES = [
  '200',
  '101',
  '101',
  '103',
  '100',
  '204',
  '304',
  '404',
  '599',
  '999',
  '20',
  '0200',
]

function fieldLine(dice: Dice): string {
  if (dice.chance(30)) return dice.of(FRAMING)
  return `${dice.of(TOKENS)}:${dice.chance(2) ? ' ' : ''}${dice.of(VALUES)}`
}

/** Changes `text` in up to three places, or in none. */
function mutated(dice: Dice, text: string): string {
  let changed = text
  for (let count = dice.of([0, 0, 1, 1, 2, 3]); count > 0; count -= 1) {
    const at = dice.count(changed.length + 1)
    const removed = dice.count(3)
    const added = dice.chance(4) ? dice.bytes(4) : dice.of(MARKS)
    changed = changed.slice(0, at) + (dice.chance(4) ? '' : added) + changed.slice(at + removed)
  }
  return changed
}

/** A request, often for an upgrade, and what is behind it. */
export function randomRequest(seed: number): string {
  const dice = new Dice(seed)
  const lines = [`Connection: ${dice.of(OPTIONS)}`, `Upgrade: ${dice.of(PROTOCOLS)}`]
  for (let count = dice.count(5); count > 0; count -= 1) {
    lines.splice(dice.count(lines.length + 1), 0, fieldLine(dice))
  }
  if (dice.chance(10)) lines.splice(dice.count(lines.length), 1)
  const isPlain = !dice.chance(4)
  const start = isPlain
    ? `GET ${dice.of(TARGETS.slice(0, 5))} HTTP/1.1`
    : `${dice.of(METHODS)} ${dice.of(TARGETS)} ${dice.of(VERSIONS)}`
  return mutated(dice, [start, ...lines, '', ''].join(CRLF)) + dice.bytes(8)
}

/** An answer, often to an upgrade, and what is behind it. */
export function randomAnswer(seed: number): string {
  const dice = new Dice(seed)
  const lines = Array.from({ length: dice.count(5) }, () => fieldLine(dice))
  if (dice.chance(2)) {
    lines.push(`Connection: ${dice.of(OPTIONS)}`, `Upgrade: ${dice.of(PROTOCOLS)}`)
  }
  const reason = dice.chance(8) ? '' : ` ${dice.of(REASONS)}`
  const start = `${dice.of(VERSIONS.slice(0, 4))} ${dice.of(STATUSES)}${reason}`
  return mutated(dice, [start, ...lines, '', ''].join(CRLF)) + dice.bytes(8)
}

/** Which ones to try: `UPGATE_TEST_SEED` is the first, `UPGATE_TEST_HEADS` how many. */
export const FIRST_SEED = Number(process.env['UPGATE_TEST_SEED'] ?? 1)
export const COUNT = Number(process.env['UPGATE_TEST_HEADS'] ?? 10_000)

/** For messages: how to try this one again. */
export function named(seed: number, text: string): string {
  return `UPGATE_TEST_SEED=${seed} UPGATE_TEST_HEADS=1: ${JSON.stringify(text)}`
}
