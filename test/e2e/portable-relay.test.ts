/** The other files of this folder have run over the native relay where there is one; here they run over the portable one. */

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, join } from 'node:path'
import { describe, it } from 'node:test'
import { runProgram } from '../support/programs.ts'
import { testRelay } from '../support/test-relay.ts'

const ownName = basename(import.meta.filename)
const files = readdirSync(import.meta.dirname).filter(
  (name) => name.endsWith('.test.ts') && name !== ownName,
)

/** `node --test` runs nothing inside another one that it knows of. */
const { NODE_TEST_CONTEXT: _, ...environment } = process.env

describe(
  'over the portable relay',
  {
    skip: testRelay === 'portable' ? 'the whole run is over the portable relay' : false,
    // The runner has files of its own under way meanwhile.
    concurrency: Math.max(1, availableParallelism() >> 1),
  },
  () => {
    for (const name of files) {
      it(`passes ${name}`, async ({ signal }) => {
        const exit = await runProgram(
          process.execPath,
          [
            '--test',
            '--test-timeout=100000',
            '--test-reporter=spec',
            join(import.meta.dirname, name),
          ],
          // A file that hangs ends before the test of this one does; what is left then ends with it.
          { env: { ...environment, UPGATE_TEST_RELAY: 'portable' }, signal },
        )
        assert.equal(exit.code, 0, `${exit.stdout}${exit.stderr}`)
        assert.match(exit.stdout, /^ℹ pass [1-9]/m)
      })
    }
  },
)
