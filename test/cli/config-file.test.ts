import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

import { chooseConfigFile } from '../../src/cli/config-file.ts'

const here = fileURLToPath(import.meta.url)

describe('chooseConfigFile', () => {
  it('prefers the command line', () => {
    assert.equal(chooseConfigFile('a', { UPGATE_CONFIG: 'b' }, [here]), 'a')
  })
  it('takes UPGATE_CONFIG next', () => {
    assert.equal(chooseConfigFile(undefined, { UPGATE_CONFIG: 'b' }, [here]), 'b')
  })
  it('takes the first of the usual files that exists', () => {
    assert.equal(chooseConfigFile(undefined, { UPGATE_CONFIG: '' }, ['/nowhere', here]), here)
  })
  it('finds none when none exists', () => {
    assert.equal(chooseConfigFile(undefined, {}, ['/nowhere']), undefined)
  })
})
