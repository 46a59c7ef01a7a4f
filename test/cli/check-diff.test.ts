import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'

import { checkDiff } from '../../src/cli/check-diff.ts'
import type { Config } from '../../src/config/config.ts'
import { fakeAdmin, FakeGateway } from '../admin/fake-api.ts'
import { FakeTerminal } from './fake-terminal.ts'

/** A folder with the gateway's own file, and another one that is checked. */
class TwoFiles extends FakeGateway implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'upgate-diff-'))
  readonly own = this.write('own.yaml', 'routes: []')

  override reload = async ({ dryRun }: { readonly dryRun: boolean }) => ({
    ok: true,
    dryRun,
    changes: dryRun ? ['route a: removed'] : [],
    needsRestart: [],
    problems: [],
    closing: 0,
    closingByRoute: {},
    kept: 0,
  })

  override config(): Config {
    return { ...super.config(), file: this.own }
  }

  write(name: string, text: string): string {
    const file = join(this.folder, name)
    writeFileSync(file, text)
    return file
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true })
  }
}

describe('checkDiff', () => {
  it('says what a reload would change, and whether the two have the same file', async () => {
    using gateway = new TwoFiles()
    await using admin = await fakeAdmin({}, gateway)
    const url = `http://127.0.0.1:${admin.port}`
    const would = `a reload of ${gateway.own} would change 1 thing\n  route a: removed\n`
    const terminal = new FakeTerminal()
    const copy = gateway.write('copy.yaml', 'routes: []')
    assert.equal(await checkDiff(copy, { admin: url }, terminal), 0)
    assert.equal(terminal.out, `the gateway at ${url} has the same file\n${would}`)
    terminal.out = ''
    const other = gateway.write('other.yaml', 'routes: [] # but other')
    assert.equal(await checkDiff(other, { admin: url }, terminal), 0)
    assert.equal(
      terminal.out,
      `the gateway at ${url} has another file than this one: ${gateway.own} there differs in its content\n${would}`,
    )
    assert.deepEqual(gateway.actions, [])
  })

  it('finds the gateway by the file that is checked', async () => {
    using gateway = new TwoFiles()
    await using admin = await fakeAdmin({}, gateway)
    const file = gateway.write('own.yaml', `admin: { address: "127.0.0.1:${admin.port}" }`)
    const terminal = new FakeTerminal()
    assert.equal(await checkDiff(file, {}, terminal), 0)
    assert.match(terminal.out, /has the same file/)
  })

  it('exits with 3 when there is no gateway', async () => {
    using gateway = new TwoFiles()
    const terminal = new FakeTerminal()
    assert.equal(await checkDiff(gateway.own, { admin: 'unix:/nonexistent' }, terminal), 3)
    assert.match(terminal.err, /^upgate: no gateway can be asked at unix:\/nonexistent/)
  })
})
