import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'

import { terminalOf } from '../../src/cli/terminal.ts'

interface FakeHost extends EventEmitter {
  readonly stdin: PassThrough
  readonly stdout: PassThrough
  readonly stderr: PassThrough
}

function fakeHost(properties: object = {}): FakeHost {
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() }
  for (const stream of Object.values(streams)) Object.assign(stream, properties)
  return Object.assign(new EventEmitter(), { env: {}, ...streams })
}

function terminal(host: FakeHost) {
  return terminalOf(host as unknown as NodeJS.Process)
}

describe('terminalOf', () => {
  it('prints results and tells what goes with them apart', async () => {
    const host = fakeHost()
    const term = terminal(host)
    term.print('result')
    term.tell('line')
    host.stdout.end()
    host.stderr.end()
    assert.deepEqual([await text(host.stdout), await text(host.stderr)], ['result', 'line\n'])
  })

  it('escapes what a terminal would obey, but for lines and tabs, and clears the screen', async () => {
    const host = fakeHost()
    const term = terminal(host)
    term.print('a\x1b[2J\x9b\u202e\n\tb\n')
    term.tell('c\x07\u2066')
    term.clear()
    host.stdout.end()
    host.stderr.end()
    const [out, err] = [await text(host.stdout), await text(host.stderr)]
    assert.equal(out, 'a\\u001b[2J\\u009b\\u202e\n\tb\n\x1b[H\x1b[2J\x1b[3J')
    assert.equal(err, 'c\\u0007\\u2066\n')
  })

  it('has a size and can ask on a terminal alone', () => {
    const plain = terminal(fakeHost())
    assert.equal(plain.size, undefined)
    assert.ok(!plain.canAsk)
    const tty = terminal(fakeHost({ isTTY: true, columns: 80, rows: 24 }))
    assert.deepEqual(tty.size, { columns: 80, rows: 24 })
    assert.ok(tty.canAsk)
  })

  for (const [answer, isYes] of [
    ['y', true],
    ['YES ', true],
    ['', false],
    ['n', false],
    ['yessir', false],
  ] as const) {
    it(`takes "${answer}" for ${isYes ? 'yes' : 'no'}`, async () => {
      const host = fakeHost()
      const asked = terminal(host).ask('Really? ')
      host.stdin.write(`${answer}\n`)
      assert.equal(await asked, isYes)
      assert.equal(String(host.stderr.read()), 'Really? ')
    })
  }

  for (const [what, bytes] of [
    ['Ctrl-C', '\x03'],
    ['Ctrl-D', '\x04'],
  ] as const) {
    it(`takes ${what} for no`, async () => {
      const host = fakeHost({ isTTY: true, columns: 80, rows: 24 })
      const asked = terminal(host).ask('Really? ')
      host.stdin.write(bytes)
      assert.equal(await asked, false)
    })
  }

  it('takes the end of what is typed for no', async () => {
    const host = fakeHost()
    const asked = terminal(host).ask('Really? ')
    host.stdin.end()
    assert.equal(await asked, false)
  })

  it('waits, but not beyond Ctrl-C, and not after it', async () => {
    const host = fakeHost()
    const term = terminal(host)
    assert.equal(await term.wait(1), true)
    const waiting = term.wait(3_600_000)
    host.emit('SIGINT')
    assert.equal(await waiting, false)
    assert.equal(await term.wait(3_600_000), false)
  })
})
