/** Pure readers of header fields: values by name, comma lists, cookies. All take linear time and never throw. */

import type { Fields } from '../errors.ts'

/** All values of a field, in the order of its lines. */
export function fieldValues(fields: Fields, lowerName: string): string[] {
  const values: string[] = []
  for (let index = 0; index + 1 < fields.length; index += 2) {
    if (isNamed(fields[index], lowerName)) values.push(fields[index + 1] as string)
  }
  return values
}

/** The value of a field's first line. */
export function fieldValue(fields: Fields, lowerName: string): string | undefined {
  for (let index = 0; index + 1 < fields.length; index += 2) {
    if (isNamed(fields[index], lowerName)) return fields[index + 1]
  }
  return undefined
}

function isNamed(name: string | undefined, lowerName: string): boolean {
  // The length tells most names apart without making a lower-case copy.
  return name?.length === lowerName.length && name.toLowerCase() === lowerName
}

/** The items of comma lists, in order and without surrounding blanks; empty ones do not count (RFC 9110 5.6.1.2). */
export function listItems(values: readonly string[]): string[] {
  const items: string[] = []
  for (const value of values) {
    let start = 0
    while (start <= value.length) {
      const comma = value.indexOf(',', start)
      const end = comma < 0 ? value.length : comma
      const item = trimBlanks(value, start, end)
      if (item !== '') items.push(item)
      start = end + 1
    }
  }
  return items
}

/** RFC 6265 4.1.1 cookie-octet: no blanks, quotes, commas, semicolons and backslashes. */
const COOKIE_VALUE = /^[!#-+\--:<-[\]-~]*$/

/**
 * The value of a cookie (RFC 6265 4.1.1, 5.4), without the quotes that may surround it. The first pair of that name with
 * a valid value counts; names are case-sensitive.
 */
export function cookieValue(fields: Fields, name: string): string | undefined {
  return cookieValues(fields, name)[0]
}

/** All of them, in their order. */
export function cookieValues(fields: Fields, name: string): string[] {
  const values: string[] = []
  for (let index = 0; index + 1 < fields.length; index += 2) {
    if (isNamed(fields[index], 'cookie')) takeCookies(fields[index + 1] as string, name, values)
  }
  return values
}

function takeCookies(line: string, name: string, values: string[]): void {
  let start = 0
  while (start < line.length) {
    const semicolon = line.indexOf(';', start)
    const end = semicolon < 0 ? line.length : semicolon
    const pair = trimBlanks(line, start, end)
    start = end + 1
    if (pair.charCodeAt(name.length) !== EQUALS || !pair.startsWith(name)) continue
    const value = unquoted(pair.slice(name.length + 1))
    if (COOKIE_VALUE.test(value)) values.push(value)
  }
}

function unquoted(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"')
    ? value.slice(1, -1)
    : value
}

const EQUALS = 0x3d
const SPACE = 0x20
const TAB = 0x09

/** String.trim would also take U+00A0 and others, which are part of a value (RFC 9110 5.6.3). */
export function trimBlanks(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start += 1
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB
}

/** Fields that are for the next hop alone (RFC 9110 7.6.1), in lower case. */
export const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'upgrade',
  // The body's framing is passed on byte for byte, so callers that do so keep it.
  'transfer-encoding',
  // Not listed in 7.6.1, but meant for the proxy that asked for it (RFC 9110 11.7).
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  // Part of an upgrade to h2c, named by Connection (RFC 7540 3.2.1); it goes where the h2c token goes.
  'http2-settings',
])
