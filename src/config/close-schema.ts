/** How the gateway watches and closes tunnels, as the file has it: `keepalive` and `close` of a route. */

import { z } from 'zod'

import { choice, duration, fail, flag, word } from './scalars.ts'
import { key, optional, section } from './section.ts'

/** RFC 6455 5.5: a control frame holds 125 bytes, and the code takes two of them. */
export const closeTextBytesMax = 123

/** Pings of peers that are silent. */
export const keepalive = z.union(
  [
    choice(['off']),
    section({
      ping: key(duration(), '30s', 'Silence of a peer after which it is pinged.'),
      timeout: key(duration(), '10s', 'From the ping: a peer that is still silent is dead.'),
      upstream: key(flag(), false, 'Whether the upstream is pinged as well as the client.'),
    }),
  ],
  { error: 'expected off, or a map with keys of ping, timeout, upstream' },
)

const codeMessage =
  'expected a close code: 1000 to 1014 without 1004, 1005, 1006 and 1010, or 3000 to 4999'

const codeNumber = z
  .int({ error: codeMessage })
  .min(1000, codeMessage)
  .max(4999, codeMessage)
  .refine((code) => (code <= 1014 && ![1004, 1005, 1006, 1010].includes(code)) || code >= 3000, {
    error: codeMessage,
  })
  .meta({ title: 'close code' })

/**
 * A code that may be sent in a Close frame (RFC 6455 7.4), save the one that only clients have a use for. Digits in quotes
 * are accepted too, since a value from the environment is text.
 */
export const closeCode = [
  codeNumber,
  word(/^\d{4}$/, codeMessage)
    .transform(Number)
    .pipe(codeNumber)
    .meta({ title: 'close code' }),
] as const

/** A code, or a map; to the code and the whole text of the frame. */
function closeFrame(defaultCode: number, defaultText: string, description: string) {
  const frame = section({
    code: optional(
      z.union(closeCode, { error: codeMessage }),
      'The close code; that of the reason if left out.',
    ),
    text: optional(
      z.string({ error: 'expected text' }).meta({ title: 'text' }),
      `A few words for the peer, at most ${closeTextBytesMax} bytes; those of the reason if left out.`,
    ),
    retryAfter: optional(duration(), 'When clients shall come back, told behind the text.'),
  }).transform(({ code = defaultCode, text = defaultText, retryAfter }, context) => {
    const hint = retryAfter === undefined ? '' : `retry after ${Math.ceil(retryAfter / 1000)}s`
    const whole = [text, hint].filter((part) => part !== '').join('; ')
    const bytes = Buffer.byteLength(whole)
    if (bytes <= closeTextBytesMax) return { code, text: whole }
    const withHint = hint === '' ? '' : ' with the hint of retryAfter'
    return fail(context, `text has ${bytes} bytes${withHint}; at most ${closeTextBytesMax} fit`)
  })
  const schema = z
    .union([...closeCode, frame], {
      error: 'expected a close code such as 1001, or a map with keys of code, text, retryAfter',
    })
    .transform((value) => (typeof value === 'number' ? { code: value, text: defaultText } : value))
  return key(schema, defaultCode, description)
}

/** What peers are told, and how long they may take. */
export const close = section({
  timeout: key(
    duration(),
    '2s',
    'How long a peer may take to answer, and to end the frame it is in; then it is reset.',
  ),
  idle: closeFrame(1001, 'idle for too long', 'At timeouts.idle.'),
  lifetime: closeFrame(1001, 'open for too long', 'At timeouts.lifetime.'),
  dead: closeFrame(1001, 'no answer to pings', 'The other peer is dead.'),
  expired: closeFrame(1008, 'credentials expired', 'The credentials hold no more.'),
  drain: closeFrame(1001, 'going away', 'The gateway, or the endpoint, is going away.'),
  reload: closeFrame(1012, 'service restart', 'A new config has no place for the tunnel.'),
  kill: closeFrame(1008, 'closed by the operator', 'An operator closes the tunnel.'),
  rebalance: closeFrame(1012, 'rebalance', 'The client shall come back to another endpoint.'),
})
