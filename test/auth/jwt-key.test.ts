import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { SignJWT } from 'jose'
import { createJwtCheck } from '../../src/auth/jwt.ts'
import type { Check } from '../../src/auth/identity.ts'
import { serverAgent } from '../../src/http/server-agent.ts'
import { Refusal } from '../../src/errors.ts'
import { fakeFacts } from './fake-facts.ts'
import { jwtConfig } from './jwt-config.ts'
import { RecordingLog } from './recording-log.ts'
import { temporaryFolder } from './temporary-folder.ts'

const fixtures = new URL('../fixtures/auth/', import.meta.url)
const privatePem = await readFile(new URL('ec-private.pem', fixtures), 'utf8')
const publicPem = await readFile(new URL('ec-public.pem', fixtures), 'utf8')
const certificatePem = await readFile(new URL('ec-certificate.pem', fixtures), 'utf8')
const privateKey = createPrivateKey(privatePem)
const publicJwk = createPublicKey(publicPem).export({ format: 'jwk' })
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })

async function codeOf(check: Check, key = privateKey): Promise<string> {
  const token = await new SignJWT({ sub: 'ann' }).setProtectedHeader({ alg: 'ES256' }).sign(key)
  const outcome = await check.check(fakeFacts({ fields: ['Authorization', `Bearer ${token}`] }))
  return outcome instanceof Refusal ? outcome.code : `pass ${outcome.user}`
}

describe('the key of a jwt check', () => {
  const forms: readonly (readonly [name: string, content: string])[] = [
    ['a PEM public key', publicPem],
    ['a PEM certificate', certificatePem],
    ['a JWK', JSON.stringify(publicJwk)],
  ]
  for (const [name, content] of forms) {
    it(`is read from ${name}`, async () => {
      await using folder = await temporaryFolder()
      const config = jwtConfig({
        publicKey: await folder.write('key', content),
        algorithms: ['ES256'],
      })
      const check = await createJwtCheck(config, { log: new RecordingLog(), agents: serverAgent })
      assert.equal(await codeOf(check), 'pass ann')
      assert.equal(await codeOf(check, other.privateKey), 'E_AUTH_INVALID')
      check.close()
    })
  }

  const wrong: readonly (readonly [name: string, content: string, message: RegExp])[] = [
    ['a PEM private key', privatePem, /this is a private key/],
    [
      'a JWK of a private key',
      JSON.stringify(privateKey.export({ format: 'jwk' })),
      /JWK of a public key$/,
    ],
    ['a JWK of a secret', '{"kty":"oct","k":"c2VjcmV0"}', /JWK of a public key$/],
    ['broken JSON', '{"kty":', /JWK of a public key$/],
    ['an empty file', '', /JWK of a public key$/],
  ]
  for (const [name, content, message] of wrong) {
    it(`is not read from ${name}`, async () => {
      await using folder = await temporaryFolder()
      const config = jwtConfig({ publicKey: await folder.write('key', content) })
      await assert.rejects(
        createJwtCheck(config, { log: new RecordingLog(), agents: serverAgent }),
        message,
      )
    })
  }

  it('is read again when its file changes', async () => {
    await using folder = await temporaryFolder()
    const publicKey = await folder.write('key', publicPem)
    const log = new RecordingLog()
    const config = jwtConfig({ publicKey, algorithms: ['ES256'] })
    const check = await createJwtCheck(config, { log, agents: serverAgent, intervalMs: 5 })
    await folder.write('key', other.publicKey.export({ type: 'spki', format: 'pem' }) as string)
    assert.equal((await log.next()).message, 'file reloaded')
    assert.equal(await codeOf(check, other.privateKey), 'pass ann')
    assert.equal(await codeOf(check), 'E_AUTH_INVALID')
    check.close()
  })

  it('must be there', async () => {
    await assert.rejects(
      createJwtCheck(jwtConfig({}), { log: new RecordingLog(), agents: serverAgent }),
      {
        message: 'auth.people: one of jwks, secret and publicKey is needed',
      },
    )
  })
})
