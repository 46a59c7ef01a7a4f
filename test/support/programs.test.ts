import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { findFile, findProgram, findPython, runProgram, RunningProgram } from './programs.ts'

describe('programs of tests', () => {
  let ci: string | undefined
  beforeEach(() => {
    ci = process.env['CI']
  })
  afterEach(() => {
    if (ci === undefined) delete process.env['CI']
    else process.env['CI'] = ci
  })

  it('skip what needs a missing program, with the package that has it', () => {
    delete process.env['CI']
    const missing = findProgram('no-such-program', 'no-such-package')
    assert.equal(missing.skip, 'no-such-program is not installed (apt-get install no-such-package)')
    assert.equal(
      findPython('no_such_module', 'python3-nothing').skip,
      'no python3 can import no_such_module (apt-get install python3-nothing)',
    )
    assert.equal(
      findFile('/no/such.so', 'libnothing').skip,
      '/no/such.so is not there (apt-get install libnothing)',
    )
  })

  it('fail what needs a missing program where CI is set', () => {
    process.env['CI'] = 'true'
    const missing = findProgram('no-such-program')
    assert.equal(missing.skip, false)
    assert.throws(() => missing.path, /no-such-program is not installed/)
    assert.throws(() => findFile('/no/such.so', 'libnothing').path, /is not there/)
  })

  it('are found, run and killed', async () => {
    const sh = findProgram('sh')
    assert.equal(sh.skip, false)
    assert.deepEqual(findFile(sh.path, 'dash'), sh)
    const exit = await runProgram(sh.path, ['-c', 'cat; echo wrong >&2; exit 3'], { input: 'in' })
    assert.deepEqual(exit, { code: 3, signal: null, stdout: 'in', stderr: 'wrong\n' })
    const running = new RunningProgram(sh.path, ['-c', 'echo up; exec sleep 1000'])
    assert.equal((await running.output(/u(p)/))[1], 'p')
    await running[Symbol.asyncDispose]()
    assert.equal((await running.exited).signal, 'SIGKILL')
    await assert.rejects(running.output(/never/), /ended without/)
  })
})
