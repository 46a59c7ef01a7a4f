import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { describe, it, mock } from 'node:test'
import { createApiKeyCheck } from '../../src/auth/api-key.ts'
import type { Check, Identity } from '../../src/auth/identity.ts'
import type { ApiKeyAuthConfig } from '../../src/config/config.ts'
import type { Refusal } from '../../src/errors.ts'
import { fakeFacts } from './fake-facts.ts'
import { codeOf, grantOf } from './outcome.ts'
import { RecordingLog } from './recording-log.ts'
import { temporaryFolder } from './temporary-folder.ts'

function sha256(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}

interface TestCheck extends AsyncDisposable {
  readonly check: Check
  readonly path: string
  readonly log: RecordingLog
  outcome(fields: readonly string[]): Identity | Refusal
}

async function open(content: string, changes: Partial<ApiKeyAuthConfig> = {}): Promise<TestCheck> {
  // Taken over below; a check that cannot be made leaves no folder behind.
  await using opening = new AsyncDisposableStack()
  const folder = opening.use(await temporaryFolder())
  const path = await folder.write('keys', content)
  const log = new RecordingLog()
  const config: ApiKeyAuthConfig = {
    name: 'robots',
    type: 'apiKey',
    header: 'X-Api-Key',
    keys: path,
    closeOnExpiry: true,
    ...changes,
  }
  const check: Check = await createApiKeyCheck(config, log, { intervalMs: 5 })
  const held = opening.move()
  return {
    check,
    path,
    log,
    outcome: (fields) => check.check(fakeFacts({ fields })) as Identity | Refusal,
    async [Symbol.asyncDispose]() {
      check.close()
      await held.disposeAsync()
    },
  }
}

describe('API key auth', () => {
  const keys = `# robots\n\nci:${sha256('key-1')}\r\nci:${sha256('key-2').toUpperCase()}\ncd:${sha256('key-3')}\n`

  it('knows the user by the key, of which there may be several', async () => {
    await using test = await open(keys)
    assert.equal(codeOf(test.outcome(['X-Api-Key', 'key-1'])), 'pass ci')
    assert.equal(codeOf(test.outcome(['x-api-key', 'key-2'])), 'pass ci')
    assert.equal(codeOf(test.outcome(['X-API-KEY', 'key-3'])), 'pass cd')
  })

  it('asks for a key when there is none', async () => {
    await using test = await open(keys)
    for (const fields of [[], ['X-Api-Key', ''], ['Authorization', 'key-1']]) {
      const outcome = test.outcome(fields)
      assert.equal(codeOf(outcome), 'E_AUTH_MISSING')
      assert.deepEqual((outcome as Refusal).details.fields, [
        'WWW-Authenticate',
        'ApiKey header="X-Api-Key"',
      ])
    }
  })

  const wrong: readonly (readonly [name: string, fields: readonly string[]])[] = [
    ['an unknown key', ['X-Api-Key', 'key-4']],
    ['the digest in place of the key', ['X-Api-Key', sha256('key-1')]],
    ['two keys', ['X-Api-Key', 'key-1', 'X-Api-Key', 'key-1']],
    ['a key of more than 1024 characters', ['X-Api-Key', 'k'.repeat(1025)]],
  ]
  for (const [name, fields] of wrong) {
    it(`refuses ${name}`, async () => {
      await using test = await open(keys)
      const outcome = test.outcome(fields)
      assert.equal(codeOf(outcome), 'E_AUTH_INVALID')
      assert.deepEqual((outcome as Refusal).details.fields, [
        'WWW-Authenticate',
        'ApiKey header="X-Api-Key"',
      ])
    })
  }

  it('takes keys over from a changed file', async () => {
    await using test = await open(keys)
    await writeFile(test.path, `ci:${sha256('key-9')}`)
    await test.log.next()
    assert.equal(codeOf(test.outcome(['X-Api-Key', 'key-1'])), 'E_AUTH_INVALID')
    assert.equal(codeOf(test.outcome(['X-Api-Key', 'key-9'])), 'pass ci')
  })

  const broken: readonly (readonly [name: string, line: string, message: RegExp])[] = [
    ['a key as it is', 'ci:key-1', /line 1: expected name:sha256hex/],
    ['a short digest', `ci:${sha256('x').slice(1)}`, /line 1: expected name:sha256hex/],
    ['no name', `:${sha256('x')}`, /line 1: expected name:sha256hex/],
    ['one key for two names', `ci:${sha256('x')}\ncd:${sha256('x')}`, /line 2: cd has the key of/],
  ]
  for (const [name, content, message] of broken) {
    it(`does not start with ${name} in the file`, async () => {
      await assert.rejects(open(content), message)
    })
  }

  it('gives a grant that stands as long as the file has the key under its name', async () => {
    await using test = await open(keys)
    const grants = ['key-1', 'key-2', 'key-3'].map((key) =>
      grantOf(test.outcome(['X-Api-Key', key])),
    )
    const stand = () => grants.map((grant) => grant.stands?.())
    assert.deepEqual(stand(), [true, true, true])
    const listener = mock.fn()
    const stop = test.check.onChange?.(listener)
    await writeFile(test.path, `ci:${sha256('key-2')}\nother:${sha256('key-3')}`)
    await test.log.next()
    assert.deepEqual(stand(), [false, true, false])
    assert.equal(listener.mock.callCount(), 1)
    stop?.()
  })

  it('tells of no reload where tunnels shall stay', async () => {
    await using test = await open(keys, { closeOnExpiry: false })
    assert.equal(test.check.onChange, undefined)
  })

  it('renews the grant of another check of its name when its file has the same key', async () => {
    await using test = await open(keys)
    await using next = await open(`ci:${sha256('key-2')}`, { header: 'X-Key' })
    await using foreign = await open(keys, { name: 'machines' })
    const one = grantOf(test.outcome(['X-Api-Key', 'key-1']))
    const two = grantOf(test.outcome(['X-Api-Key', 'key-2']))
    assert.equal(next.check.renew(one), undefined)
    assert.deepEqual(
      [next.check.renew(two)?.giver, next.check.renew(two)?.check],
      [next.check, 'robots'],
    )
    assert.equal(foreign.check.renew(two), undefined)
  })
})
