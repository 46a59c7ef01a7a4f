/**
 * Text from outside as it may be shown: without what terminals obey (control characters, C1 among them) and without what
 * turns the direction of writing, so that a value cannot pose as another one. Escapes are those of JSON: `\u009b`.
 */

/** What JSON leaves as it is. First and last character of each range. */
const hidden: readonly (readonly [number, number])[] = [
  [0x7f, 0x9f],
  [0x61c, 0x61c],
  [0x200e, 0x200f],
  [0x2028, 0x202e],
  [0x2066, 0x2069],
]

const HIDDEN = new RegExp(`[${hidden.map((range) => range.map(escapeOf).join('-')).join('')}]`, 'g')

/** JSON that means the same, with nothing in it that a reader of the text obeys. */
export function visibleJson(json: string): string {
  return json.replace(HIDDEN, escapeOfCharacter)
}

/** Text of one line. */
export function visible(text: string): string {
  return visibleJson(text).replace(/[\0-\x1f]/g, escapeOfCharacter)
}

/** Text that may have several lines, and tabs. */
export function visibleLines(text: string): string {
  return visibleJson(text).replace(/[\0-\x08\x0b-\x1f]/g, escapeOfCharacter)
}

function escapeOfCharacter(character: string): string {
  return escapeOf(character.charCodeAt(0))
}

function escapeOf(code: number): string {
  return `\\u${code.toString(16).padStart(4, '0')}`
}

const ESCAPE_BYTES = 6

/** The text, or as much of it as is `bytesMax` bytes long when it is written as visible JSON, with `...` at its end. */
export function cutTo(text: string, bytesMax: number): string {
  if (text.length * ESCAPE_BYTES <= bytesMax) return text
  let bytes = 0
  let end = 0
  for (let index = 0; index < text.length;) {
    const code = text.codePointAt(index) ?? 0
    bytes += writtenBytes(code)
    if (bytes > bytesMax) return `${text.slice(0, end)}...`
    index += code > 0xffff ? 2 : 1
    if (bytes <= bytesMax - '...'.length) end = index
  }
  return text
}

/** JSON writes these with a backslash and a letter or sign: b, t, n, f, r, the quote and the backslash. */
const SHORT_ESCAPES: ReadonlySet<number> = new Set([8, 9, 10, 12, 13, 0x22, 0x5c])

/** Of one character in visible JSON, in UTF-8. */
function writtenBytes(code: number): number {
  if (SHORT_ESCAPES.has(code)) return 2
  if (code < 0x20 || isHidden(code) || isHalf(code)) return ESCAPE_BYTES
  if (code < 0x7f) return 1
  if (code < 0x800) return 2
  return code > 0xffff ? 4 : 3
}

function isHidden(code: number): boolean {
  return code >= 0x7f && hidden.some(([first, last]) => code >= first && code <= last)
}

/** Of a surrogate pair, without the other one. */
function isHalf(code: number): boolean {
  return code >= 0xd800 && code <= 0xdfff
}
