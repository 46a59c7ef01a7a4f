import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TokenReader } from '../../src/auth/token.ts'
import type { TokenSource } from '../../src/config/config.ts'
import { fakeFacts } from './fake-facts.ts'

const bearer: TokenSource = { in: 'header', name: 'Authorization' }
const field: TokenSource = { in: 'header', name: 'X-Token' }
const cookie: TokenSource = { in: 'cookie', name: 'session' }
const query: TokenSource = { in: 'query', name: 'access_token' }
const subprotocol: TokenSource = { in: 'subprotocol', name: 'bearer' }
const kubernetes: TokenSource = { in: 'subprotocol', name: 'base64url.bearer.authorization.k8s.io' }

function protocols(...values: string[]): string[] {
  return values.flatMap((value) => ['Sec-WebSocket-Protocol', value])
}

interface Case {
  readonly name: string
  readonly from: readonly TokenSource[]
  readonly fields?: readonly string[]
  readonly query?: string
  readonly token?: string
  readonly wrong?: string
  readonly hiddenQuery?: readonly string[]
  readonly hiddenSubprotocols?: readonly string[]
  readonly marker?: string
}

const tooLong = 't'.repeat(16 * 1024 + 1)

const cases: readonly Case[] = [
  {
    name: 'a bearer token',
    from: [bearer],
    fields: ['Authorization', 'Bearer a.b.c'],
    token: 'a.b.c',
  },
  {
    name: 'a bearer token in any case',
    from: [bearer],
    fields: ['authorization', 'bEARER  a.b.c'],
    token: 'a.b.c',
  },
  { name: 'nothing', from: [bearer, field, cookie, subprotocol] },
  { name: 'nothing in another scheme', from: [bearer], fields: ['Authorization', 'Basic YTpi'] },
  {
    name: 'nothing in an empty field',
    from: [bearer, field],
    fields: ['Authorization', '', 'X-Token', ''],
  },
  {
    name: 'no token in two Authorization fields',
    from: [bearer],
    fields: ['Authorization', 'Bearer a', 'Authorization', 'Basic YTpi'],
    wrong: 'several tokens in header authorization',
  },
  {
    name: 'no token in two cookies of its name',
    from: [{ in: 'cookie', name: 'session' }],
    fields: ['Cookie', 'session=a; session=b'],
    wrong: 'several tokens in cookie session',
  },
  {
    name: 'a token in a field of its own',
    from: [field],
    fields: ['x-token', 'a.b.c'],
    token: 'a.b.c',
  },
  {
    name: 'a token with a scheme in a field of its own',
    from: [field],
    fields: ['X-Token', 'Bearer a.b.c'],
    token: 'a.b.c',
  },
  { name: 'a cookie', from: [cookie], fields: ['Cookie', 'a=b; session=a.b.c'], token: 'a.b.c' },
  { name: 'nothing in an empty cookie', from: [cookie], fields: ['Cookie', 'session='] },
  {
    name: 'a query parameter',
    from: [query],
    query: 'x=1&access_token=a.b.c',
    token: 'a.b.c',
    hiddenQuery: ['access_token'],
  },
  {
    name: 'nothing in an empty query parameter',
    from: [query],
    query: 'access_token=',
    hiddenQuery: ['access_token'],
  },
  {
    name: 'no token in a query parameter that comes twice',
    from: [query],
    query: 'access_token=a&access%5Ftoken=b',
    wrong: 'several tokens in query access_token',
    hiddenQuery: ['access_token'],
  },
  {
    name: 'the first source of the list',
    from: [cookie, bearer],
    fields: ['Authorization', 'Bearer one', 'Cookie', 'session=two'],
    token: 'two',
  },
  {
    name: 'a token in a field, and hides those in query and subprotocol',
    from: [bearer, query, subprotocol],
    fields: ['Authorization', 'Bearer one', ...protocols('bearer, two, chat')],
    query: 'access_token=three',
    token: 'one',
    hiddenQuery: ['access_token'],
    hiddenSubprotocols: ['bearer', 'two'],
    marker: 'bearer',
  },
  {
    name: 'a token behind its marker',
    from: [subprotocol],
    fields: protocols('chat, bearer, a.b.c'),
    token: 'a.b.c',
    hiddenSubprotocols: ['bearer', 'a.b.c'],
    marker: 'bearer',
  },
  {
    name: 'a token behind its marker over two fields',
    from: [subprotocol],
    fields: protocols('bearer', 'a.b.c,chat'),
    token: 'a.b.c',
    hiddenSubprotocols: ['bearer', 'a.b.c'],
    marker: 'bearer',
  },
  {
    name: 'a token with its name in front',
    from: [subprotocol],
    fields: protocols('bearer.a.b.c, chat'),
    token: 'a.b.c',
    hiddenSubprotocols: ['bearer.a.b.c'],
  },
  {
    name: 'a token with its name in front, and the name as a marker',
    from: [subprotocol],
    fields: protocols('bearer, bearer.a.b.c'),
    token: 'a.b.c',
    hiddenSubprotocols: ['bearer.a.b.c'],
    marker: 'bearer',
  },
  {
    name: 'nothing behind a marker that is the last item',
    from: [subprotocol],
    fields: protocols('chat, bearer'),
  },
  {
    name: 'no token where there are two, and hides both',
    from: [subprotocol],
    fields: protocols('bearer, one, bearer.two'),
    wrong: 'several tokens in subprotocol bearer',
    hiddenSubprotocols: ['bearer', 'one', 'bearer.two'],
    marker: 'bearer',
  },
  {
    name: "a token in Kubernetes' form",
    from: [subprotocol, kubernetes],
    fields: protocols(
      `base64url.bearer.authorization.k8s.io.${Buffer.from('a.b.c~').toString('base64url')}, v4.channel.k8s.io`,
    ),
    token: 'a.b.c~',
    hiddenSubprotocols: [
      `base64url.bearer.authorization.k8s.io.${Buffer.from('a.b.c~').toString('base64url')}`,
    ],
  },
  {
    name: 'no token of more than 16 KiB',
    from: [field],
    fields: ['X-Token', tooLong],
    wrong: 'a token of more than 16 KiB in header x-token',
  },
]

describe('TokenReader', () => {
  for (const one of cases) {
    it(`finds ${one.name}`, () => {
      const facts = fakeFacts({ fields: one.fields ?? [], query: one.query ?? '' })
      const reader = new TokenReader(one.from)
      const hidden = {
        hiddenQuery: one.hiddenQuery ?? [],
        hiddenSubprotocols: one.hiddenSubprotocols ?? [],
        markerSubprotocol: one.marker,
      }
      assert.deepEqual(reader.read(facts), { token: one.token, wrong: one.wrong, hidden })
      assert.deepEqual(reader.hidden(facts), hidden)
    })
  }
})
