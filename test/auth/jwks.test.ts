import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { describe, it, mock } from 'node:test'
import { SignJWT } from 'jose'
import { createJwtCheck } from '../../src/auth/jwt.ts'
import type { Check } from '../../src/auth/identity.ts'
import { serverAgent } from '../../src/http/server-agent.ts'
import { Refusal } from '../../src/errors.ts'
import { fakeFacts } from './fake-facts.ts'
import { closedUrl, httpFixture, rawFixture } from './http-fixture.ts'
import { jwtConfig } from './jwt-config.ts'
import { RecordingLog } from './recording-log.ts'

interface TestKey {
  readonly kid: string | undefined
  readonly privateKey: KeyObject
  readonly jwk: object
}

function makeKey(kid?: string): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid } }
}

function rsaKey(modulusLength: number): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength })
  return { kid: 'one', privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid: 'one' } }
}

const one = makeKey('one')
const two = makeKey('two')

/** A part of a token. */
function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

async function outcomeOf(check: Check, key: TestKey, kid = key.kid): Promise<string> {
  const header = kid === undefined ? { alg: 'ES256' } : { alg: 'ES256', kid }
  const token = await new SignJWT({ sub: 'ann' }).setProtectedHeader(header).sign(key.privateKey)
  return codeOf(check, token)
}

async function codeOf(check: Check, token: string): Promise<string> {
  const outcome = await check.check(fakeFacts({ fields: ['Authorization', `Bearer ${token}`] }))
  return outcome instanceof Refusal ? outcome.code : `pass ${outcome.user}`
}

interface Provider extends AsyncDisposable {
  readonly check: Check
  readonly log: RecordingLog
  /** What the provider answers with from now on: a set of keys, or a status. */
  answer: readonly TestKey[] | number
  fetches(): number
}

async function provider(answer: readonly TestKey[] | number): Promise<Provider> {
  const state = { answer }
  const server = await httpFixture((_, response) => {
    if (typeof state.answer === 'number') response.writeHead(state.answer).end('{"keys":[]}')
    else response.end(JSON.stringify({ keys: state.answer.map(({ jwk }) => jwk) }))
  })
  const log = new RecordingLog()
  const check = await createJwtCheck(jwtConfig({ jwks: server.url }), { log, agents: serverAgent })
  return Object.assign(state, {
    check,
    log,
    fetches: () => server.requests.length,
    async [Symbol.asyncDispose]() {
      check.close()
      await server[Symbol.asyncDispose]()
    },
  })
}

/** A clock that stands still until a test moves it. */
function stoppedClock(): Disposable & { pass(ms: number): void } {
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  return {
    pass: (ms) => mock.timers.setTime(Date.now() + ms),
    [Symbol.dispose]: () => mock.timers.reset(),
  }
}

describe('the key set of a jwt check', () => {
  it('is fetched once, with the first token, for many at a time', async () => {
    await using idp = await provider([one, two])
    assert.equal(idp.fetches(), 0)
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => outcomeOf(idp.check, one)))
    assert.deepEqual([...new Set(outcomes)], ['pass ann'])
    assert.equal(await outcomeOf(idp.check, two), 'pass ann')
    assert.equal(idp.fetches(), 1)
  })

  it('is fetched again for an unknown key, at most every 30 s', async () => {
    using clock = stoppedClock()
    await using idp = await provider([one])
    assert.equal(await outcomeOf(idp.check, one), 'pass ann')
    idp.answer = [two]
    assert.equal(await outcomeOf(idp.check, two), 'E_AUTH_INVALID')
    assert.equal(idp.fetches(), 1)
    clock.pass(30_001)
    assert.equal(await outcomeOf(idp.check, two), 'pass ann')
    assert.equal(await outcomeOf(idp.check, one), 'E_AUTH_INVALID')
    assert.equal(await outcomeOf(idp.check, makeKey('made up')), 'E_AUTH_INVALID')
    assert.equal(idp.fetches(), 2)
  })

  it('refuses a key id that belongs to another key', async () => {
    await using idp = await provider([one, two])
    assert.equal(await outcomeOf(idp.check, one, 'two'), 'E_AUTH_INVALID')
  })

  it('tries each key for a token that names none', async () => {
    await using idp = await provider([one, two])
    const unnamed = { ...two, kid: undefined }
    assert.equal(await outcomeOf(idp.check, unnamed), 'pass ann')
    assert.equal(await outcomeOf(idp.check, makeKey()), 'E_AUTH_INVALID')
  })

  it('tries no more than 8 keys for a token that names none', async () => {
    const keys = Array.from({ length: 9 }, (_, index) => makeKey(`${index}`))
    await using idp = await provider(keys)
    assert.equal(
      await outcomeOf(idp.check, { ...(keys[7] as TestKey), kid: undefined }),
      'pass ann',
    )
    assert.equal(
      await outcomeOf(idp.check, { ...(keys[8] as TestKey), kid: undefined }),
      'E_AUTH_INVALID',
    )
  })

  it('checks the claims of a token that names no key', async () => {
    await using idp = await provider([one, two])
    const token = await new SignJWT({ sub: 'ann', exp: 1 })
      .setProtectedHeader({ alg: 'ES256' })
      .sign(two.privateKey)
    assert.equal(await codeOf(idp.check, token), 'E_AUTH_INVALID')
  })

  it('is searched past keys that cannot be used, which are told of once', async () => {
    using clock = stoppedClock()
    const { jwk: rsa } = rsaKey(1024)
    const odd = [rsa, null, 'text', {}, { kty: 'RSA', kid: 'one' }, { kty: 'XYZ', kid: 'one' }]
    const jwks = [...odd, { ...one.jwk, alg: 7 }, one.jwk, two.jwk]
    await using idp = await provider(jwks.map((jwk) => ({ ...one, jwk: jwk as object })))
    assert.equal(await outcomeOf(idp.check, one), 'pass ann')
    assert.equal(await outcomeOf(idp.check, { ...two, kid: undefined }), 'pass ann')
    const line = await idp.log.next()
    assert.equal(line.message, 'key set has keys that cannot be used')
    assert.match(String(line.fields['cause']), /^6 of 9 keys /)
    clock.pass(30_001)
    assert.equal(await outcomeOf(idp.check, makeKey('unknown')), 'E_AUTH_INVALID')
    assert.equal(idp.fetches(), 2)
    assert.equal(idp.log.lines.length, 1)
  })

  it('may have several keys of one id, each of which is tried', async () => {
    const same = Array.from({ length: 3 }, () => makeKey('same'))
    await using idp = await provider(same)
    for (const key of same) assert.equal(await outcomeOf(idp.check, key), 'pass ann')
    assert.equal(await outcomeOf(idp.check, makeKey('same')), 'E_AUTH_INVALID')
  })

  it('lets nobody in, but fails for nobody, when none of its keys can be used', async () => {
    await using idp = await provider([{ ...one, jwk: { kty: 'oct', k: 'AAAA', kid: 'one' } }])
    assert.equal(await outcomeOf(idp.check, one), 'E_AUTH_INVALID')
  })

  it('is not looked up by an id that is no text, or the name of something else', async () => {
    await using idp = await provider([one, { ...two, jwk: { ...two.jwk, kid: 5 } }])
    for (const kid of [5, null, ['one'], { one: 1 }, '../../dev/null', '__proto__', "' OR 1=1--"]) {
      const text = `${encode({ alg: 'ES256', kid: kid as string })}.${encode({ sub: 'root' })}`
      const signature = sign('sha256', Buffer.from(text), {
        key: two.privateKey,
        dsaEncoding: 'ieee-p1363',
      })
      const code = await codeOf(idp.check, `${text}.${signature.toString('base64url')}`)
      assert.equal(code, 'E_AUTH_INVALID', JSON.stringify(kid))
    }
  })

  it('is not taken from the token itself', async () => {
    const own = makeKey('own')
    await using elsewhere = await httpFixture((_, response) => {
      response.end(JSON.stringify({ keys: [own.jwk] }))
    })
    await using idp = await provider([one])
    for (const more of [
      { jwk: own.jwk },
      { jku: elsewhere.url },
      { x5u: elsewhere.url },
      { x5c: ['AAAA'] },
    ]) {
      for (const kid of ['own', 'one', undefined]) {
        const header = { alg: 'ES256', ...(kid === undefined ? {} : { kid }), ...more }
        const token = await new SignJWT({ sub: 'root' })
          .setProtectedHeader(header)
          .sign(own.privateKey)
        assert.equal(await codeOf(idp.check, token), 'E_AUTH_INVALID', Object.keys(more)[0])
      }
    }
    assert.equal(elsewhere.requests.length, 0)
  })

  it('is not fetched for algorithms that are not allowed', async () => {
    await using idp = await provider([one])
    const text = `${encode({ alg: 'HS256', kid: 'one' })}.${encode({ sub: 'root' })}`
    const signature = createHmac('sha256', JSON.stringify(one.jwk)).update(text).digest('base64url')
    assert.equal(await codeOf(idp.check, `${text}.${signature}`), 'E_AUTH_INVALID')
    assert.equal(idp.fetches(), 0)
  })

  it('is fetched anew after 10 minutes, beside the request, and stays in use while that fails', async () => {
    using clock = stoppedClock()
    await using idp = await provider([one])
    assert.equal(await outcomeOf(idp.check, one), 'pass ann')
    idp.answer = 503
    clock.pass(600_001)
    assert.equal(await outcomeOf(idp.check, one), 'pass ann')
    const warning = await idp.log.next()
    assert.deepEqual([warning.level, warning.message], ['warn', 'key set not available'])
    assert.equal(warning.fields['cause'], 'people: the key set cannot be fetched: status 503')
    assert.equal(await outcomeOf(idp.check, one), 'pass ann')
    assert.equal(idp.fetches(), 2)
    idp.answer = [one, two]
    clock.pass(1001)
    assert.equal(await outcomeOf(idp.check, one), 'pass ann')
    assert.equal((await idp.log.next()).message, 'key set available again')
    assert.equal(await outcomeOf(idp.check, two), 'pass ann')
    assert.equal(idp.fetches(), 3)
  })

  it('lets nobody in, and tells so at once, while it cannot be fetched', async () => {
    using clock = stoppedClock()
    await using idp = await provider(500)
    assert.equal(await outcomeOf(idp.check, one), 'E_AUTH_UNAVAILABLE')
    assert.equal(await outcomeOf(idp.check, one), 'E_AUTH_UNAVAILABLE')
    assert.equal(idp.fetches(), 1)
    clock.pass(1001)
    assert.equal(await outcomeOf(idp.check, one), 'E_AUTH_UNAVAILABLE')
    assert.equal(idp.fetches(), 2)
    // One line for the failures in a row.
    assert.equal(idp.log.lines.length, 1)
    idp.answer = [one]
    clock.pass(1001)
    assert.equal(await outcomeOf(idp.check, one), 'pass ann')
  })

  it('cannot tell for an unknown key while the provider is down', async () => {
    using clock = stoppedClock()
    await using idp = await provider([one])
    assert.equal(await outcomeOf(idp.check, one), 'pass ann')
    idp.answer = 404
    clock.pass(30_001)
    assert.equal(await outcomeOf(idp.check, two), 'E_AUTH_UNAVAILABLE')
    assert.equal(await outcomeOf(idp.check, one), 'pass ann')
  })

  it('is not available from a server that is not there', async () => {
    const log = new RecordingLog()
    const check = await createJwtCheck(jwtConfig({ jwks: await closedUrl() }), {
      log,
      agents: serverAgent,
    })
    assert.equal(await outcomeOf(check, one), 'E_AUTH_UNAVAILABLE')
    assert.match(String((await log.next()).fields['cause']), /ECONNREFUSED/)
    check.close()
  })

  it('times out when the server hangs before or in its answer', async () => {
    const starts = ['', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"keys"']
    for (const start of starts) {
      await using server = await rawFixture((socket) => socket.write(start))
      const log = new RecordingLog()
      const check = await createJwtCheck(jwtConfig({ jwks: server.url }), {
        log,
        agents: serverAgent,
        timeoutMs: 50,
      })
      assert.equal(await outcomeOf(check, one), 'E_AUTH_TIMEOUT')
      check.close()
    }
  })

  const set = JSON.stringify({ keys: [one.jwk] })
  const broken: readonly (readonly [name: string, status: number, body: string, cause: RegExp])[] =
    [
      ['a redirect', 302, set, /status 302/],
      ['another good status', 203, set, /status 203/],
      ['an empty answer', 204, '', /status 204/],
      ['text that is not JSON', 200, '<html>', /not JSON/],
      ['JSON that is no key set', 200, '{"keys":"none"}', /no JSON Web Key Set/],
      ['more than 512 KiB', 200, set + ' '.repeat(512 * 1024), /more than 524288 bytes/],
    ]
  for (const [name, status, body, cause] of broken) {
    it(`is not taken from ${name}`, async () => {
      await using server = await httpFixture((request, response) => {
        if (request.url === '/') response.writeHead(status, { Location: '/elsewhere' }).end(body)
        else response.end(set)
      })
      const log = new RecordingLog()
      const check = await createJwtCheck(jwtConfig({ jwks: server.url }), {
        log,
        agents: serverAgent,
      })
      assert.equal(await outcomeOf(check, one), 'E_AUTH_UNAVAILABLE')
      assert.match(String((await log.next()).fields['cause']), cause)
      check.close()
    })
  }

  it('is not taken from an answer that breaks off', async () => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n'
    await using server = await rawFixture((socket) => socket.end(`${head}{"keys"`))
    const check = await createJwtCheck(jwtConfig({ jwks: server.url }), {
      log: new RecordingLog(),
      agents: serverAgent,
    })
    assert.equal(await outcomeOf(check, one), 'E_AUTH_UNAVAILABLE')
    check.close()
  })
})
