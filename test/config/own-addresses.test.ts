import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { describe, it } from 'node:test'
import { problemsIn } from './load-text.ts'

/** An address of this machine by which others reach it, where it has one. */
const reached = Object.values(networkInterfaces())
  .flat()
  .find((each) => each?.family === 'IPv4' && !each.internal)?.address

function problems(listener: string, endpoint: string, more = 'admin: off'): string[] {
  return problemsIn(
    `listeners: [{ address: "${listener}" }]\n${more}\nroutes: [{ upstream: "${endpoint}" }]\n`,
  )
}

describe('an endpoint that is the gateway itself', () => {
  const own: [listener: string, endpoint: string][] = [
    ['127.0.0.1:81', 'http://127.0.0.1:81'],
    ['127.0.0.1:81', 'https://localhost:81'],
    ['127.0.0.1:81', 'http://LOCALHOST:81'],
    ['localhost:81', 'http://[::1]:81'],
    ['0.0.0.0:80', 'http://localhost'],
    ['0.0.0.0:81', 'http://127.9.9.9:81'],
    ['0.0.0.0:81', 'http://0.0.0.0:81'],
    ['0.0.0.0:81', 'http://[::ffff:127.0.0.1]:81'],
    ['[::]:81', 'http://127.0.0.1:81'],
    ['[::]:81', 'http://[::]:81'],
    ['[::1]:81', 'http://[0:0::1]:81'],
    ['chat.example.com:81', 'http://Chat.example.com:81'],
    ['unix:/run/a.sock', 'unix:/run/a.sock'],
    ...(reached === undefined ? [] : [['0.0.0.0:81', `http://${reached}:81`] as [string, string]]),
  ]
  for (const [listener, endpoint] of own) {
    it(`is refused: ${endpoint} of a listener at ${listener}`, () => {
      assert.deepEqual(problems(listener, endpoint), [
        '3:22: routes[0].upstream: is the gateway itself (listeners[0]): each request would come back',
      ])
    })
  }

  const others: [listener: string, endpoint: string][] = [
    ['127.0.0.1:81', 'http://127.0.0.1:82'],
    ['127.0.0.1:81', 'http://127.0.0.2:81'],
    ['0.0.0.0:81', 'http://192.0.2.1:81'],
    ['0.0.0.0:81', 'http://[::1]:81'],
    ['0.0.0.0:81', 'http://chat:81'],
    ['127.0.0.1:0', 'http://127.0.0.1:81'],
    ['unix:/run/a.sock', 'unix:/run/b.sock'],
    ['unix:/run/a.sock', 'builtin:echo'],
    ['systemd', 'http://127.0.0.1:81'],
  ]
  for (const [listener, endpoint] of others) {
    it(`is none of others: ${endpoint} of a listener at ${listener}`, () => {
      assert.deepEqual(problems(listener, endpoint), [])
    })
  }

  it('is not reached over IPv4 where the wildcard takes IPv6 alone', () => {
    const yaml = (listener: string, endpoint: string): string =>
      `listeners: [{ address: "[::]:81"${listener} }]\nadmin: off\nroutes: [{ upstream: "${endpoint}" }]`
    assert.deepEqual(problemsIn(yaml(', ipv6Only: true', 'http://127.0.0.1:81')), [])
    assert.equal(problemsIn(yaml(', ipv6Only: true', 'http://[::1]:81')).length, 1)
  })

  it('is refused at the address of the admin server, also where that is the default', () => {
    const text = 'is the gateway itself (admin): each request would come back'
    assert.deepEqual(problems('127.0.0.1:81', 'http://localhost:9090', 'log: {}'), [
      `3:22: routes[0].upstream: ${text}`,
    ])
    assert.deepEqual(problems('127.0.0.1:81', 'unix:/a', 'admin: { address: "unix:/a" }'), [
      `3:22: routes[0].upstream: ${text}`,
    ])
  })

  it('is told at its place in lists of upstreams and routes', () => {
    const yaml = `listeners: [{ address: ":81" }]
upstreams:
  a: { endpoints: ["http://a", { url: "http://127.0.0.1:81", weight: 2 }] }
routes:
  - { match: { path: /a }, upstream: a }
  - { upstream: ["http://b", "http://localhost:81"] }
`
    const text = 'is the gateway itself (listeners[0]): each request would come back'
    assert.deepEqual(problemsIn(yaml), [
      `3:32: upstreams.a.endpoints[1]: ${text}`,
      `6:30: routes[1].upstream[1]: ${text}`,
    ])
  })
})
