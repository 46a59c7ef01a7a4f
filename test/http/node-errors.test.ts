import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { breakOffBy, nodeErrorCode } from '../../src/http/node-errors.ts'

function failure(code: string | undefined, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), code === undefined ? {} : { code })
}

describe('breakOffBy', () => {
  it('tells a reset from other errors', () => {
    assert.equal(breakOffBy(failure('ECONNRESET', 'read ECONNRESET')).reason, 'reset')
    assert.equal(breakOffBy(failure('EPIPE', 'write EPIPE')).reason, 'error')
  })

  it('has the code once in its cause', () => {
    assert.equal(breakOffBy(failure('ECONNRESET', 'read ECONNRESET')).cause, 'read ECONNRESET')
    assert.equal(
      breakOffBy(failure('ECONNRESET', 'socket hang up')).cause,
      'ECONNRESET: socket hang up',
    )
    assert.equal(breakOffBy(failure(undefined, 'odd')).cause, 'odd')
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
