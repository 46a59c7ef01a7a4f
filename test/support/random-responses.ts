/** Random responses, made from a number alone: right ones, most of them changed in a place or two. */

import { Dice } from '../http1/random-heads.ts'

const STATUSES = [
  '200',
  '200',
  '200',
  '200',
  '404',
  '503',
  '204',
  '304',
  '101',
  '099',
  '000',
  '600',
  '999',
  '2000',
  '20',
]
const VERSIONS = [
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/1.2',
  'HTTP/2.0',
]
const FIELDS = [
  'A: b',
  'A:b',
  'A : b',
  'A: b\r\n c',
  'A:\r\n\tb',
  'Connection: close',
  'Connection: keep-alive, A',
  'Keep-Alive: timeout=5',
  'Upgrade: websocket',
  'Trailer: T',
  'Content-Length: 5',
  'Content-Length: 7, 7',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip',
  'X-Real-IP: 1',
]
const TRAILERS = [
  'T: 1',
  'Content-Length: 5',
  'X_Auth_User: a',
  'Transfer-Encoding: chunked',
  'T : 1',
  'T: a\r\n b',
  'no',
]
const MARKS = [
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '\n\n',
  '\0',
  '\x01',
  '\x7f',
  '\xff',
  ':',
  ' ',
  '\t',
  ';',
  ',',
  '0',
  'f',
  '-',
  '',
]

/** What is in the response of this number and in no other. */
export function markOf(seed: number): string {
  const digits = String(seed).padStart(8, '0')
  return `<${digits}:${digits}>`
}

/** The numbers of all responses that a part of is in `text`. */
export function marksIn(text: string): number[] {
  return [...text.matchAll(/<(\d{8}):\1>/g)].map((match) => Number(match[1]))
}

/** Its head is over wherever a change has left it: what is behind it sees to that. */
export function randomResponse(seed: number): string {
  const dice = new Dice(seed)
  const information = dice.chance(6)
    ? `HTTP/1.1 ${dice.of(['100', '103', '199'])} I\r\n${lines(dice, FIELDS)}\r\n`
    : ''
  let text = information.repeat(dice.chance(8) ? 33 : 1) + final(dice, markOf(seed))
  if (dice.chance(6)) text = text.replaceAll('\r\n', '\n')
  for (let count = dice.of([0, 0, 1, 1, 2]); count > 0; count -= 1) {
    const at = dice.count(text.length + 1)
    text = text.slice(0, at) + dice.of(MARKS) + text.slice(at + dice.count(3))
  }
  return `${text}\r\n\r\n`
}

function final(dice: Dice, mark: string): string {
  const content = mark.repeat(1 + dice.count(4))
  const status = dice.chance(3) ? dice.of(STATUSES) : '200'
  const version = dice.chance(4) ? dice.of(VERSIONS) : 'HTTP/1.1'
  const start = `${version} ${status}${dice.of(['', ' ', ' OK', ' Not \xe9'])}\r\nX-Mark: ${mark}\r\n`
  const fields = dice.chance(2) ? lines(dice, FIELDS) : ''
  switch (dice.count(4)) {
    case 0:
      return `${start}${fields}\r\n${content}`
    case 1:
      return `${start}${fields}Transfer-Encoding: chunked\r\n\r\n${chunks(dice, content)}`
    default: {
      const length = content.length + (dice.chance(8) ? dice.count(9) - 4 : 0)
      return `${start}${fields}Content-Length: ${length}\r\n\r\n${content}`
    }
  }
}

function chunks(dice: Dice, content: string): string {
  let text = ''
  for (let at = 0; at < content.length;) {
    const size = 1 + dice.count(40)
    const part = content.slice(at, at + size)
    at += size
    text += `${part.length.toString(16)}${dice.chance(6) ? ';a="b"' : ''}\r\n${part}\r\n`
  }
  return `${text}0\r\n${dice.chance(2) ? lines(dice, TRAILERS) : ''}\r\n`
}

function lines(dice: Dice, list: readonly string[]): string {
  return Array.from({ length: dice.count(3) }, () => `${dice.of(list)}\r\n`).join('')
}
