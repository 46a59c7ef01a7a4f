import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { SignJWT, type JWTPayload } from 'jose'
import type { Identity } from '../../src/auth/identity.ts'
import { createJwtCheck } from '../../src/auth/jwt.ts'
import type { JwtAuthConfig, TokenSource } from '../../src/config/config.ts'
import { serverAgent } from '../../src/http/server-agent.ts'
import { Refusal } from '../../src/errors.ts'
import { fakeFacts } from './fake-facts.ts'
import { jwtConfig } from './jwt-config.ts'
import { RecordingLog } from './recording-log.ts'

const secret = 'a secret of more than thirty-two bytes'
const publicKey = new URL('../fixtures/auth/ec-public.pem', import.meta.url).pathname
const nowS = Math.floor(Date.now() / 1000)

function sign(payload: JWTPayload, header = { alg: 'HS256' }, key = secret): Promise<string> {
  return new SignJWT(payload).setProtectedHeader(header).sign(Buffer.from(key))
}

/** A part of a token. */
function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

/** Signs by hand, whatever jose thinks of the header. */
function forge(header: object, payload: object, key: string): string {
  const text = `${encode(header)}.${encode(payload)}`
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
}

async function outcomeOf(
  changes: Partial<JwtAuthConfig>,
  token: string,
): Promise<Identity | Refusal> {
  const keyed = changes.publicKey === undefined ? { secret, algorithms: ['HS256'] } : {}
  const check = await createJwtCheck(jwtConfig({ ...keyed, ...changes }), {
    log: new RecordingLog(),
    agents: serverAgent,
  })
  const outcome = await check.check(fakeFacts({ fields: ['Authorization', `Bearer ${token}`] }))
  check.close()
  return outcome
}

async function assertInvalid(
  changes: Partial<JwtAuthConfig>,
  token: string,
  cause: RegExp,
): Promise<void> {
  const outcome = await outcomeOf(changes, token)
  assert.ok(outcome instanceof Refusal, 'it passes')
  assert.equal(outcome.code, 'E_AUTH_INVALID')
  assert.match(outcome.details.cause ?? '', cause)
  assert.ok(token.length < 20 || !(outcome.details.cause ?? '').includes(token))
  assert.deepEqual(outcome.details.fields, [
    'WWW-Authenticate',
    'Bearer realm="chat", error="invalid_token"',
  ])
}

describe('jwt auth', () => {
  it('lets the bearer of a good token in and knows when it ends', async () => {
    const token = await sign({ sub: 'ann', exp: nowS + 60 })
    const outcome = await outcomeOf({ clockToleranceMs: 5000 }, token)
    assert.ok(!(outcome instanceof Refusal))
    const { grants, ...identity } = outcome
    assert.deepEqual(identity, {
      user: 'ann',
      fields: [],
      hiddenQuery: [],
      hiddenSubprotocols: [],
      markerSubprotocol: undefined,
    })
    const ends = grants.map(({ check, user, expiresAtMs }) => ({ check, user, expiresAtMs }))
    assert.deepEqual(ends, [{ check: 'people', user: 'ann', expiresAtMs: (nowS + 65) * 1000 }])
  })

  it('tells no end where tunnels shall not be closed at it', async () => {
    const token = await sign({ sub: 'ann', exp: nowS + 60 })
    const outcome = await outcomeOf({ closeOnExpiry: false }, token)
    assert.ok(!(outcome instanceof Refusal))
    assert.deepEqual(
      outcome.grants.map(({ check, expiresAtMs }) => [check, expiresAtMs]),
      [['people', undefined]],
    )
  })

  it('renews the grants that it gave itself, and no others', async () => {
    const config = jwtConfig({ secret, algorithms: ['HS256'] })
    const check = await createJwtCheck(config, { log: new RecordingLog(), agents: serverAgent })
    const other = await createJwtCheck(config, { log: new RecordingLog(), agents: serverAgent })
    const fields = ['Authorization', `Bearer ${await sign({ sub: 'ann' })}`]
    const outcome = await check.check(fakeFacts({ fields }))
    assert.ok(!(outcome instanceof Refusal))
    const [grant] = outcome.grants
    assert.ok(grant !== undefined)
    assert.equal(check.renew(grant), grant)
    assert.equal(other.renew(grant), undefined)
    check.close()
    other.close()
  })

  it('accepts a token without an end', async () => {
    const outcome = await outcomeOf({}, await sign({ sub: 'ann' }))
    assert.ok(!(outcome instanceof Refusal))
    assert.equal(outcome.grants[0]?.expiresAtMs, undefined)
  })

  it('asks for a token, without an error, when there is none', async () => {
    const check = await createJwtCheck(jwtConfig({ secret, algorithms: ['HS256'] }), {
      log: new RecordingLog(),
      agents: serverAgent,
    })
    const outcome = check.check(fakeFacts())
    check.close()
    assert.ok(outcome instanceof Refusal)
    assert.equal(outcome.code, 'E_AUTH_MISSING')
    assert.deepEqual(outcome.details.fields, ['WWW-Authenticate', 'Bearer realm="chat"'])
  })

  it('refuses two tokens', async () => {
    const token = await sign({ sub: 'ann' })
    const check = await createJwtCheck(jwtConfig({ secret, algorithms: ['HS256'] }), {
      log: new RecordingLog(),
      agents: serverAgent,
    })
    const field = ['Authorization', `Bearer ${token}`]
    const outcome = check.check(fakeFacts({ fields: [...field, ...field] }))
    check.close()
    assert.ok(outcome instanceof Refusal)
    assert.equal(outcome.code, 'E_AUTH_INVALID')
    assert.equal(outcome.details.cause, 'people: several tokens in header authorization')
  })

  it('refuses a token that is signed with the public key as a secret', async () => {
    const pem = await readFile(publicKey, 'utf8')
    for (const key of [pem, pem.trim()]) {
      const token = forge({ alg: 'HS256' }, { sub: 'root' }, key)
      // Even where the configuration names both kinds of algorithms.
      await assertInvalid({ publicKey, algorithms: ['ES256', 'HS256'] }, token, /alg.*not allowed/)
    }
  })

  it('refuses unsigned tokens, even where the configuration allows them', async () => {
    const unsigned = forge({ alg: 'none' }, { sub: 'root' }, 'x').replace(/[^.]*$/, '')
    await assertInvalid({}, unsigned, /alg.*not allowed/)
    await assertInvalid({ algorithms: ['none', 'HS256'] }, unsigned, /alg.*not allowed/)
    await assertInvalid({ publicKey, algorithms: ['none', 'ES256'] }, unsigned, /alg.*not allowed/)
  })

  it('refuses an algorithm that is not configured although the key would do', async () => {
    await assertInvalid(
      { algorithms: ['HS256'] },
      await sign({ sub: 'ann' }, { alg: 'HS512' }, secret.repeat(2)),
      /not allowed/,
    )
  })

  it('accepts each configured algorithm', async () => {
    const long = secret.repeat(2)
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      const config = { secret: long, algorithms: ['HS256', 'HS384', 'HS512'] }
      const outcome = await outcomeOf(config, await sign({ sub: 'ann' }, { alg }, long))
      assert.ok(!(outcome instanceof Refusal), alg)
    }
  })

  it('refuses an algorithm of another kind than the key', async () => {
    const token = forge({ alg: 'RS256' }, { sub: 'root' }, 'x')
    await assertInvalid({ publicKey, algorithms: ['ES256', 'RS256'] }, token, /^people: /)
  })

  const claims = { sub: 'ann', iss: 'https://idp', aud: ['chat', 'mail'] }
  const checked = { issuer: ['https://idp'], audience: ['chat'] }
  const invalid: readonly (readonly [
    string,
    Partial<JwtAuthConfig>,
    () => Promise<string>,
    RegExp,
  ])[] = [
    ['another signature', {}, () => sign(claims, { alg: 'HS256' }, `${secret}!`), /signature/],
    [
      'a changed payload',
      {},
      async () => (await sign(claims)).replace(/\.[^.]*\./, '.eyJzdWIiOiJyb290In0.'),
      /signature/,
    ],
    ['a token of two parts', {}, async () => 'a.b', /Invalid Compact JWS/],
    ['a token of four parts', {}, async () => `${await sign(claims)}.x`, /Invalid Compact JWS/],
    ['text that is no token', {}, async () => '~~~', /Invalid Compact JWS/],
    [
      'an unknown critical header',
      {},
      async () => forge({ alg: 'HS256', crit: ['x'], x: 1 }, claims, secret),
      /Extension|crit/,
    ],
    ['an expired token', {}, () => sign({ ...claims, exp: nowS - 1 }), /"exp" claim/],
    [
      'a token that expired before the tolerance',
      { clockToleranceMs: 5000 },
      () => sign({ ...claims, exp: nowS - 60 }),
      /"exp" claim/,
    ],
    [
      'an end that is no number',
      {},
      async () => forge({ alg: 'HS256' }, { sub: 'ann', exp: 'never' }, secret),
      /"exp" claim/,
    ],
    ['a token that is not valid yet', {}, () => sign({ ...claims, nbf: nowS + 60 }), /"nbf" claim/],
    ['another issuer', checked, () => sign({ ...claims, iss: 'https://idp.evil' }), /"iss" claim/],
    ['no issuer', checked, () => sign({ sub: 'ann', aud: 'chat' }), /"iss" claim/],
    ['another audience', checked, () => sign({ ...claims, aud: ['mail'] }), /"aud" claim/],
    ['no audience', checked, () => sign({ sub: 'ann', iss: 'https://idp' }), /"aud" claim/],
    [
      'a user with a line break',
      {},
      () => sign({ sub: 'ann\r\nX-Admin: 1' }),
      /claim sub cannot be/,
    ],
    [
      'a user that is a list',
      {},
      async () => forge({ alg: 'HS256' }, { sub: ['ann'] }, secret),
      /claim sub cannot be/,
    ],
    ['an empty user', {}, () => sign({ sub: '' }), /claim sub cannot be/],
  ]
  for (const [name, changes, token, cause] of invalid) {
    it(`refuses ${name}`, async () => assertInvalid(changes, await token(), cause))
  }

  it('accepts the clock tolerance, one of several issuers and one of several audiences', async () => {
    const config = {
      clockToleranceMs: 60_000,
      issuer: ['https://other', 'https://idp'],
      audience: ['web', 'mail'],
    }
    const token = await sign({ ...claims, exp: nowS - 10, nbf: nowS + 10 })
    assert.ok(!((await outcomeOf(config, token)) instanceof Refusal))
  })

  const users: readonly (readonly [name: string, JWTPayload, string | undefined])[] = [
    ['text', { email: 'ann@example.com' }, 'ann@example.com'],
    ['a number', { email: 42 }, '42'],
    ['null', { email: null }, undefined],
    ['not there', { sub: 'ann' }, undefined],
  ]
  for (const [name, payload, user] of users) {
    it(`takes the user from the configured claim when it is ${name}`, async () => {
      const outcome = await outcomeOf({ userClaim: 'email' }, await sign(payload))
      assert.ok(!(outcome instanceof Refusal))
      assert.equal(outcome.user, user)
    })
  }

  it('has no user when the claim is named like a method of all objects', async () => {
    const outcome = await outcomeOf({ userClaim: 'toString' }, await sign({ sub: 'ann' }))
    assert.ok(!(outcome instanceof Refusal))
    assert.equal(outcome.user, undefined)
  })

  const roles = new Map([
    ['role', ['admin', 'editor']],
    ['level', [3]],
  ])
  const held: readonly (readonly [name: string, JWTPayload, missing: string | undefined])[] = [
    ['accepted values', { role: 'editor', level: 3 }, undefined],
    ['a list with an accepted value', { role: ['guest', 'admin'], level: 3 }, undefined],
    ['another value', { role: 'guest', level: 3 }, 'role'],
    ['an accepted value in part', { role: 'administrator', level: 3 }, 'role'],
    ['a list without an accepted value', { role: ['guest'], level: 3 }, 'role'],
    ['one claim of two', { role: 'admin' }, 'level'],
    ['the right value as another type', { role: 'admin', level: '3' }, 'level'],
    ['an object that holds the value', { role: { admin: true }, level: 3 }, 'role'],
  ]
  for (const [name, payload, missing] of held) {
    it(`${missing === undefined ? 'accepts' : 'denies'} claims with ${name}`, async () => {
      const outcome = await outcomeOf({ claims: roles }, await sign(payload))
      if (missing === undefined) {
        assert.ok(!(outcome instanceof Refusal))
        return
      }
      assert.ok(outcome instanceof Refusal)
      assert.equal(outcome.code, 'E_CLAIM_DENIED')
      assert.ok(outcome.details.cause?.includes(`claim ${missing} `))
      assert.deepEqual(outcome.details.fields, [
        'WWW-Authenticate',
        'Bearer realm="chat", error="insufficient_scope"',
      ])
    })
  }

  it('denies a claim that only all objects have', async () => {
    const outcome = await outcomeOf(
      { claims: new Map([['__proto__', ['x']]]) },
      await sign({ sub: 'ann' }),
    )
    assert.equal((outcome as Refusal).code, 'E_CLAIM_DENIED')
  })

  it('hides the query parameter and the subprotocol that carried the token', async () => {
    const token = await sign({ sub: 'ann' })
    const from: TokenSource[] = [
      { in: 'subprotocol', name: 'bearer' },
      { in: 'query', name: 'access_token' },
    ]
    const config = jwtConfig({ secret, algorithms: ['HS256'], from })
    const check = await createJwtCheck(config, { log: new RecordingLog(), agents: serverAgent })
    const facts = fakeFacts({ fields: ['Sec-WebSocket-Protocol', `bearer, ${token}, chat`] })
    const outcome = await check.check(facts)
    check.close()
    assert.ok(!(outcome instanceof Refusal))
    assert.deepEqual(outcome.hiddenQuery, ['access_token'])
    assert.deepEqual(outcome.hiddenSubprotocols, ['bearer', token])
    assert.equal(outcome.markerSubprotocol, 'bearer')
    assert.deepEqual(check.hidden?.(facts), {
      hiddenQuery: ['access_token'],
      hiddenSubprotocols: ['bearer', token],
      markerSubprotocol: 'bearer',
    })
  })
})
