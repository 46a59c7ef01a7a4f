/** What would be right in place of values that people write by habit: units, patterns and URLs of other programs. */

import { isIPv6 } from 'node:net'

const millisecondsOf: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** For what is no duration: `60` is taken for seconds, `1.5h` for 90 minutes, `5 min` for 5m. */
export function durationHint(value: unknown): string | undefined {
  const [, digits, unitText = ''] =
    /^(\d{1,9}(?:\.\d{1,3})?) ?(ms|[a-z]*)$/i.exec(String(value)) ?? []
  if (digits === undefined || Number(digits) === 0) return undefined
  const unit = unitText === 'ms' ? 'ms' : unitText.charAt(0).toLowerCase()
  if (unit === '') return write(`${digits}${Number(digits) < 1000 ? 's' : 'ms'}`)
  const durationMs = Number(digits) * (millisecondsOf[unit] ?? Number.NaN)
  if (!Number.isInteger(durationMs)) return undefined
  const units = Object.entries(millisecondsOf).toReversed()
  const [whole, wholeMs] = units.find(([, each]) => durationMs % each === 0) ?? ['ms', 1]
  const isWhole = Number.isInteger(Number(digits))
  return write(isWhole ? `${digits}${unit}` : `${durationMs / wholeMs}${whole}`)
}

/** For what is no size: `64kb`, `1M` and `64 KiB` are powers of 1024. */
export function sizeHint(value: unknown): string | undefined {
  const [, digits, unit] = /^(\d{1,9}) ?([kmg])(?:i?b)?$/i.exec(String(value)) ?? []
  return unit === undefined ? undefined : write(`${digits}${unit.toUpperCase()}iB`)
}

/** For what is no address to listen on. */
export function addressHint(value: unknown): string | undefined {
  const text = String(value)
  if (/^\d{1,5}$/.test(text)) return write(`:${text}`)
  const [, host, port] = /^(?:[a-z]+:\/\/)?([\w.*-]*?)(?::(\d{1,5}))?\/?$/i.exec(text) ?? []
  if (host === undefined || host === '') return undefined
  return write(`${host === '*' ? '' : host}:${port ?? '8080'}`)
}

/** For what is no host of a route, in lower case. */
export function hostHint(host: string): string | undefined {
  // The message says what is right in its place.
  if (host === '*') return undefined
  const [, fromUrl] = /^[a-z]+:\/\/([^/:]+)/.exec(host) ?? []
  if (fromUrl !== undefined) return write(fromUrl)
  if (isIPv6(host)) return write(`"[${host}]"`)
  const [, bare, rest = ''] = /^([^/:]+)(:\d+|\/.*)?$/.exec(host) ?? []
  if (rest.startsWith(':')) return `${write(bare ?? '')}: a route is for every port`
  if (rest !== '') return `${write(bare ?? '')}, and the path in match.path`
  if (/^\.[^*]+$/.test(host)) return write(`"*${host}"`)
  if (/^\*[^.*][^*]*$/.test(host)) return write(`"*.${host.slice(1)}"`)
  return host.includes('*') ? 'a * stands for the first labels alone; list the hosts' : undefined
}

/** For what is no origin. */
export function originHint(value: unknown): string | undefined {
  const text = String(value)
  if (text === '*') return 'leave it out, or write off, for every origin'
  if (text.includes('*')) return 'there are no patterns; list the origins'
  if (/^https?:\/\//i.test(text) && URL.canParse(text)) return write(new URL(text).origin)
  return /^[\w.-]+(?::\d+)?$/.test(text) ? write(`https://${text}`) : undefined
}

/** For what is no URL of an endpoint. */
export function endpointHint(value: string): string | undefined {
  if (/^[^\s/:]+:\d+\/?$/.test(value)) return write(`http://${value}`)
  const [, unix] = /^(?:https?:\/\/unix:)?(\/(?!\/)[^\s:]*)/.exec(value) ?? []
  if (unix !== undefined) return write(`unix:${unix}`)
  const [, ip, port] = /^https?:\/\/([0-9a-f:]+):(\d+)\/?$/i.exec(value) ?? []
  if (ip !== undefined && isIPv6(ip))
    return write(value.replace(`${ip}:${port}`, `[${ip}]:${port}`))
  const [, place] = /^(?:tcp:\/\/|http:\/(?!\/)|\/\/)([^\s/@:]+:\d+)\/?$/.exec(value) ?? []
  return place === undefined ? undefined : write(`http://${place}`)
}

/** For a path with what has a meaning in other programs, and would be taken as it is. */
export function pathHint(path: string): string | undefined {
  const [, prefix] = /^([^*{}[\]\\^|]*)\/(?:\.?\*{1,2})$/.exec(path) ?? []
  if (prefix !== undefined) {
    return prefix === ''
      ? 'leave it out for every path'
      : `a path is a prefix already: ${write(prefix)}`
  }
  const placeholder = /\{[^/]*\}|<[^/]*>|\/:[a-z_]\w*(?=\/|$)/gi
  if (placeholder.test(path)) {
    const regex = path.replace(placeholder, (found) => (found.startsWith('/') ? '/[^/]+' : '[^/]+'))
    return `for placeholders write { regex: "${regex}" }`
  }
  return /[*{}[\]\\^|]/.test(path) ? 'for patterns write { regex: ... }' : undefined
}

function write(text: string): string {
  return `write ${text}`
}
