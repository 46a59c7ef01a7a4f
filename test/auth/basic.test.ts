import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { describe, it, mock } from 'node:test'
import { hashSync, verify } from '@node-rs/bcrypt'
import { createBasicCheck, type BasicOptions } from '../../src/auth/basic.ts'
import { anonymous, type Check, type Identity } from '../../src/auth/identity.ts'
import type { BasicAuthConfig } from '../../src/config/config.ts'
import { Refusal } from '../../src/errors.ts'
import { basicFields, fakeFacts } from './fake-facts.ts'
import { codeOf, grantOf } from './outcome.ts'
import { RecordingLog } from './recording-log.ts'
import { temporaryFolder } from './temporary-folder.ts'

const annHash = hashSync('pa:ss wörd', { cost: 4, version: '2y' })
const bobHash = hashSync('builder', { cost: 5, version: '2b' })
/** Of `password`. */
const cidHash = '{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g='
const users = `ann:${annHash}\nbob:${bobHash}\ncid:${cidHash}\n`
const challenge = ['WWW-Authenticate', 'Basic realm="the \\"staff\\"", charset="UTF-8"']

interface TestCheck extends AsyncDisposable {
  readonly check: Check
  readonly path: string
  readonly log: RecordingLog
  readonly verify: ReturnType<typeof countedVerify>
  outcome(fields: readonly string[], clientIp?: string): Promise<Identity | Refusal>
}

function countedVerify(check: NonNullable<BasicOptions['verify']> = verify) {
  return mock.fn(check)
}

async function open(
  content = users,
  verifier: NonNullable<BasicOptions['verify']> = verify,
  closeOnExpiry = true,
): Promise<TestCheck> {
  // Taken over below; a check that cannot be made leaves no folder behind.
  await using opening = new AsyncDisposableStack()
  const folder = opening.use(await temporaryFolder())
  const path = await folder.write('users', content)
  const log = new RecordingLog()
  const counted = countedVerify(verifier)
  const config: BasicAuthConfig = {
    name: 'staff',
    type: 'basic',
    users: path,
    realm: 'the "staff"',
    closeOnExpiry,
  }
  const check = await createBasicCheck(config, log, { verify: counted, intervalMs: 5 })
  const held = opening.move()
  return {
    check,
    path,
    log,
    verify: counted,
    outcome: async (fields, clientIp = '192.0.2.7') => check.check(fakeFacts({ fields, clientIp })),
    async [Symbol.asyncDispose]() {
      check.close()
      await held.disposeAsync()
    },
  }
}

function encode(text: string | Buffer): string {
  return Buffer.from(text as string).toString('base64')
}

describe('basic auth', () => {
  it('lets users with their passwords in, by bcrypt and {SHA}', async () => {
    await using test = await open()
    const outcome = await test.outcome(basicFields('ann', 'pa:ss wörd'))
    assert.ok(!(outcome instanceof Refusal))
    assert.deepEqual({ ...outcome, grants: [] }, { ...anonymous, user: 'ann' })
    assert.equal(codeOf(await test.outcome(basicFields('bob', 'builder'))), 'pass bob')
    assert.equal(codeOf(await test.outcome(basicFields('cid', 'password'))), 'pass cid')
  })

  it('asks for credentials when there are none, or those of another scheme', async () => {
    await using test = await open()
    for (const fields of [[], ['Authorization', 'Bearer abc'], ['Authorization', 'Basicx abc']]) {
      const outcome = await test.outcome(fields)
      assert.ok(outcome instanceof Refusal)
      assert.equal(outcome.code, 'E_AUTH_MISSING')
      assert.deepEqual(outcome.details.fields, challenge)
    }
  })

  it('refuses wrong passwords and unknown users alike', async () => {
    await using test = await open()
    const refusals = [
      await test.outcome(basicFields('ann', 'wrong')),
      await test.outcome(basicFields('cid', 'wrong')),
      await test.outcome(basicFields('nobody', 'wrong')),
    ]
    for (const refusal of refusals) assert.equal(refusal, refusals[0])
    assert.equal(codeOf(refusals[0] as Refusal), 'E_AUTH_INVALID')
    assert.deepEqual((refusals[0] as Refusal).details.fields, challenge)
  })

  it('spends a bcrypt of a cost in the file on unknown users and on {SHA} users', async () => {
    await using test = await open()
    await test.outcome(basicFields('nobody', 'x'))
    await test.outcome(basicFields('cid', 'x'))
    await test.outcome(basicFields('cid', 'password'))
    const hashes = test.verify.mock.calls.map((call) => call.arguments[1])
    assert.equal(hashes.length, 3)
    for (const hash of hashes) assert.match(hash, /^\$2[by]\$0[45]\$/)
  })

  it('refuses a password of which bcrypt would read the beginning alone, after the same work', async () => {
    const long = 'x'.repeat(72)
    await using test = await open(`dan:${hashSync(long, { cost: 4 })}`)
    assert.equal(codeOf(await test.outcome(basicFields('dan', long))), 'pass dan')
    assert.equal(codeOf(await test.outcome(basicFields('dan', `${long}y`))), 'E_AUTH_INVALID')
    assert.equal(test.verify.mock.callCount(), 2)
  })

  it('needs no bcrypt for a file of {SHA} alone', async () => {
    await using test = await open(`cid:${cidHash}`)
    assert.equal(codeOf(await test.outcome(basicFields('cid', 'password'))), 'pass cid')
    assert.equal(codeOf(await test.outcome(basicFields('cid', 'no'))), 'E_AUTH_INVALID')
    assert.equal(codeOf(await test.outcome(basicFields('nobody', ''))), 'E_AUTH_INVALID')
    assert.equal(test.verify.mock.callCount(), 0)
  })

  const good = encode('ann:pa:ss wörd')
  const malformed: readonly (readonly [name: string, fields: readonly string[]])[] = [
    ['no credentials behind the scheme', ['Authorization', 'Basic']],
    ['text that is not base64', ['Authorization', 'Basic ann:pass']],
    [
      'base64 without its padding',
      ['Authorization', `Basic ${encode('ann:x').replace(/=+$/, '')}`],
    ],
    ['base64url', ['Authorization', `Basic ${encode('ann:~~~???').replace('/', '_')}`]],
    ['something behind the base64', ['Authorization', `Basic ${good} x`]],
    ['no colon', ['Authorization', `Basic ${encode('ann')}`]],
    ['a NUL', ['Authorization', `Basic ${encode('ann\0:pa:ss wörd')}`]],
    [
      'bytes that are not UTF-8',
      ['Authorization', `Basic ${encode(Buffer.from('ann:w\xf6rd', 'latin1'))}`],
    ],
    ['a password of more than 1024 bytes', basicFields('ann', 'ö'.repeat(513))],
    ['more than 4096 characters', ['Authorization', `Basic ${encode('a'.repeat(4000))}`]],
    [
      'two fields, both right',
      ['Authorization', `Basic ${good}`, 'authorization', `Basic ${good}`],
    ],
    ['two fields of two schemes', ['Authorization', 'Bearer x', 'Authorization', `Basic ${good}`]],
  ]
  for (const [name, fields] of malformed) {
    it(`refuses ${name} without a bcrypt`, async () => {
      await using test = await open()
      const outcome = await test.outcome(fields)
      assert.ok(outcome instanceof Refusal)
      assert.equal(outcome.code, 'E_AUTH_INVALID')
      assert.deepEqual(outcome.details.fields, challenge)
      assert.equal(test.verify.mock.callCount(), 0)
    })
  }

  it('reads the scheme in any case', async () => {
    await using test = await open()
    assert.equal(codeOf(await test.outcome(['authorization', `bAsIC  ${good}`])), 'pass ann')
  })

  it('spends one bcrypt on 200 clients that come back at once with the same credentials', async () => {
    await using test = await open()
    const fields = basicFields('ann', 'pa:ss wörd')
    const outcomes = await Promise.all(Array.from({ length: 200 }, () => test.outcome(fields)))
    assert.ok(outcomes.every((outcome) => codeOf(outcome) === 'pass ann'))
    assert.equal(test.verify.mock.callCount(), 1)
  })

  it('answers at once, without a promise, for credentials that were right lately', async () => {
    await using test = await open()
    const facts = fakeFacts({ fields: basicFields('ann', 'pa:ss wörd') })
    await test.check.check(facts)
    const outcome = test.check.check(facts)
    assert.ok(!(outcome instanceof Promise))
    assert.equal(codeOf(outcome), 'pass ann')
  })

  it('does not remember wrong credentials', async () => {
    await using test = await open()
    await test.outcome(basicFields('ann', 'wrong'))
    await test.outcome(basicFields('ann', 'wrong'))
    assert.equal(test.verify.mock.callCount(), 2)
  })

  it('forgets a password as soon as the file has another one', async () => {
    await using test = await open()
    await test.outcome(basicFields('ann', 'pa:ss wörd'))
    await writeFile(test.path, `ann:${hashSync('new', { cost: 4 })}`)
    assert.equal((await test.log.next()).message, 'file reloaded')
    assert.equal(codeOf(await test.outcome(basicFields('ann', 'pa:ss wörd'))), 'E_AUTH_INVALID')
    assert.equal(codeOf(await test.outcome(basicFields('ann', 'new'))), 'pass ann')
  })

  it('refuses to begin a 65th check, but not those who need none', async () => {
    const gate = Promise.withResolvers<boolean>()
    let isOpen = true
    await using test = await open(users, () => (isOpen ? Promise.resolve(true) : gate.promise))
    await test.outcome(basicFields('ann', 'pa:ss wörd'))
    isOpen = false
    const checks = Array.from({ length: 64 }, (_, index) =>
      test.outcome(basicFields('bob', `guess ${index}`), `192.0.2.${index}`),
    )
    const busy = await test.outcome(basicFields('bob', 'builder'))
    assert.ok(busy instanceof Refusal)
    assert.equal(busy.code, 'E_AUTH_BUSY')
    assert.equal(busy.details.retryAfterSeconds, 1)
    assert.equal(codeOf(await test.outcome(basicFields('ann', 'pa:ss wörd'))), 'pass ann')
    gate.resolve(false)
    for (const outcome of await Promise.all(checks)) assert.equal(codeOf(outcome), 'E_AUTH_INVALID')
  })

  it('does not start with a file that is wrong', async () => {
    await assert.rejects(open('ann:hunter2'), /users \(users of auth\.staff\): line 1: plain/)
  })

  it("gives a grant that stands as long as the file has the user's hash", async () => {
    await using test = await open()
    const ann = grantOf(await test.outcome(basicFields('ann', 'pa:ss wörd')))
    const again = grantOf(await test.outcome(basicFields('ann', 'pa:ss wörd')))
    const bob = grantOf(await test.outcome(basicFields('bob', 'builder')))
    const cid = grantOf(await test.outcome(basicFields('cid', 'password')))
    const stand = () => [ann, again, bob, cid].map((grant) => grant.stands?.())
    assert.deepEqual(stand(), [true, true, true, true])
    await writeFile(test.path, `ann:${hashSync('new', { cost: 4 })}\ncid:${cidHash}\n`)
    await test.log.next()
    assert.deepEqual(stand(), [false, false, false, true])
  })

  it('tells of each good reload of its file until nobody listens any more', async () => {
    await using test = await open()
    const listener = mock.fn()
    const stop = test.check.onChange?.(listener)
    await writeFile(test.path, 'nonsense')
    await test.log.next()
    assert.equal(listener.mock.callCount(), 0)
    await writeFile(test.path, `bob:${bobHash}`)
    await test.log.next()
    assert.equal(listener.mock.callCount(), 1)
    stop?.()
    await writeFile(test.path, users)
    await test.log.next()
    assert.equal(listener.mock.callCount(), 1)
  })

  it('tells of no reload where tunnels shall stay', async () => {
    await using test = await open(users, verify, false)
    assert.equal(test.check.onChange, undefined)
  })

  it('renews the grant of another check of its name when its file has the same hash', async () => {
    await using test = await open()
    await using next = await open(`bob:${bobHash}\n`)
    const ann = grantOf(await test.outcome(basicFields('ann', 'pa:ss wörd')))
    const bob = grantOf(await test.outcome(basicFields('bob', 'builder')))
    assert.equal(test.check.renew(ann), ann)
    assert.equal(next.check.renew(ann), undefined)
    const renewed = next.check.renew(bob)
    assert.deepEqual([renewed?.giver, renewed?.user], [next.check, 'bob'])
    await writeFile(next.path, users.replace(bobHash, annHash))
    await next.log.next()
    assert.deepEqual([bob.stands?.(), renewed?.stands?.()], [true, false])
  })
})
