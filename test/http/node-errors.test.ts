import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { breakOffBy, causeOf, isGrammarError, nodeErrorCode } from '../../src/http/node-errors.ts'

function failure(code: string | undefined, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), code === undefined ? {} : { code })
}

describe('isGrammarError', () => {
  it("knows the parser's errors by their code", () => {
    assert.equal(isGrammarError(failure('HPE_INVALID_CONSTANT', 'x')), true)
    assert.equal(isGrammarError(failure('ECONNRESET', 'x')), false)
    assert.equal(isGrammarError(failure(undefined, 'x')), false)
  })
})

describe('causeOf', () => {
  it('has the code once', () => {
    assert.equal(causeOf(failure('ECONNRESET', 'read ECONNRESET')), 'read ECONNRESET')
    assert.equal(causeOf(failure('ECONNRESET', 'socket hang up')), 'ECONNRESET: socket hang up')
    assert.equal(causeOf(failure(undefined, 'odd')), 'odd')
  })
})

describe('breakOffBy', () => {
  it('tells a reset from other errors', () => {
    assert.equal(breakOffBy(failure('ECONNRESET', 'read ECONNRESET')).reason, 'reset')
    assert.equal(breakOffBy(failure('EPIPE', 'write EPIPE')).reason, 'error')
  })
})

describe('nodeErrorCode', () => {
  it("returns the code of node's own errors", () => {
    assert.equal(nodeErrorCode(failure('ERR_INVALID_CHAR', 'x')), 'ERR_INVALID_CHAR')
  })

  for (const error of [failure('ENOENT', 'x'), failure(undefined, 'x'), 'x']) {
    it(`throws ${String(error)} again`, () => {
      assert.throws(
        () => nodeErrorCode(error),
        (thrown) => thrown === error,
      )
    })
  }
})
