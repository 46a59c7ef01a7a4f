import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hashSync, parseOptions, verifySync } from '@node-rs/bcrypt'
import { parseHtpasswd } from '../../src/auth/htpasswd.ts'

const cheap = hashSync('secret', { cost: 4, version: '2y' })
const dear = hashSync('secret', { cost: 5, version: '2b' })
const sha = '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ='

describe('parseHtpasswd', () => {
  it('reads bcrypt and {SHA} lines, and skips comments and blank lines', () => {
    const { passwords } = parseHtpasswd(
      `\uFEFF# staff\r\n\r\nann:${cheap}\r\nbob:${dear}:the builder\n  \ncid:${sha}\nJörg:${sha}`,
    )
    assert.deepEqual(
      [...passwords],
      [
        ['ann', { user: 'ann', scheme: 'bcrypt', hash: cheap }],
        ['bob', { user: 'bob', scheme: 'bcrypt', hash: dear }],
        ['cid', { user: 'cid', scheme: 'sha', hash: sha.slice(5) }],
        ['Jörg', { user: 'Jörg', scheme: 'sha', hash: sha.slice(5) }],
      ],
    )
  })

  it('accepts the versions 2a, 2b and 2y', () => {
    for (const version of ['2a', '2b', '2y'] as const) {
      const line = `ann:${hashSync('x', { cost: 4, version })}`
      assert.equal(parseHtpasswd(line).passwords.size, 1, version)
    }
  })

  const wrong: readonly (readonly [name: string, line: string, message: RegExp])[] = [
    ['a line without a colon', 'ann', /^line 2: expected user:hash$/],
    ['an empty user', `:${cheap}`, /^line 2: the user name/],
    ['a user with a blank at its end', `ann :${cheap}`, /^line 2: the user name/],
    ['a user twice', `zoe:${cheap}`, /^line 2: zoe has a line already$/],
    ['apr1', 'ann:$apr1$abcdefgh$0123456789012345678901', /line 2: apr1 .* expected bcrypt/],
    ['crypt SHA-512', 'ann:$6$salt$hash', /line 2: crypt hashes .* htpasswd -B/],
    ['salted SHA', 'ann:{SSHA}abc', /line 2: \{SSHA\} is not supported/],
    ['a short {SHA}', 'ann:{SHA}abc', /line 2: \{SHA\} goes with a digest/],
    ['a plain password', 'ann:hunter2', /line 2: plain and crypt/],
    ['a cut bcrypt hash', `ann:${cheap.slice(0, -1)}`, /line 2: this is no whole bcrypt/],
    ['version 2x', `ann:${cheap.replace('$2y', '$2x')}`, /line 2: this is no whole bcrypt/],
    [
      'a cost of 17',
      `ann:${cheap.replace('$04$', '$17$')}`,
      /line 2: a bcrypt cost of 17 .* at most 16/,
    ],
    ['a cost of 3', `ann:${cheap.replace('$04$', '$03$')}`, /line 2: the bcrypt hash is damaged/],
  ]
  for (const [name, line, message] of wrong) {
    it(`refuses ${name}, naming the line and not the hash`, () => {
      assert.throws(
        () => parseHtpasswd(`zoe:${cheap}\n${line}\n`),
        (error: Error) => {
          assert.match(error.message, message)
          const secret = line.split(':')[1] ?? '\0'
          assert.ok(!error.message.includes(secret))
          return true
        },
      )
    })
  }

  it('makes dummies of the costs in the file, which take the whole work and fit nothing', () => {
    const { dummyFor } = parseHtpasswd(`ann:${cheap}\nbob:${dear}\ncid:${sha}`)
    const costs = new Set<number>()
    for (let index = 0; index < 64; index += 1) {
      const dummy = dummyFor(`nobody${index}`)
      assert.equal(dummy, dummyFor(`nobody${index}`))
      costs.add(parseOptions(dummy.hash).cost)
    }
    assert.deepEqual([costs.has(4), costs.has(5), costs.size], [true, true, 2])
    const dummy = dummyFor('nobody')
    assert.equal(verifySync('', dummy.hash), false)
    // Its salt makes a hash that verifies: the verifier does not reject the dummy before the work.
    const twin = hashSync('x', { salt: dummy.hash.slice(0, 29) })
    assert.equal(twin.length, dummy.hash.length)
    assert.equal(verifySync('x', twin), true)
  })

  it('makes a dummy that fits nothing for a file without bcrypt', () => {
    assert.deepEqual(parseHtpasswd(`cid:${sha}`).dummyFor('a'), {
      user: '',
      scheme: 'sha',
      hash: '',
    })
  })
})
