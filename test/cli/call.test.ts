import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { ReloadResult } from '../../src/reload/result.ts'
import { CLOSE_FRAMES } from '../support/tunnel-policy.ts'
import { fakeAdmin, type FakeAdmin } from '../admin/fake-api.ts'
import { frameCounts } from '../support/readings.ts'
import { FakeTerminal, run, type Ran } from './fake-terminal.ts'

interface Scene extends AsyncDisposable {
  readonly admin: FakeAdmin
  readonly terminal: FakeTerminal
  upgate(line: string): Promise<Ran>
}

/** What is printed is gathered anew at each command. */
async function scene(): Promise<Scene> {
  const admin = await fakeAdmin()
  const terminal = new FakeTerminal()
  terminal.env['UPGATE_ADMIN'] = `http://127.0.0.1:${admin.port}`
  return {
    admin,
    terminal,
    upgate: (line) => {
      terminal.out = ''
      terminal.err = ''
      return run(line.split(' '), terminal)
    },
    [Symbol.asyncDispose]: () => admin[Symbol.asyncDispose](),
  }
}

function openThree({ gateway }: FakeAdmin): void {
  gateway.open({
    id: '3f2a9c1e-77b0-4c11-9d3c-1d9b6f1c0001',
    user: 'ann',
    ageMs: 192_000,
    reading: {
      bytesUp: 96_000,
      bytesDown: 2_000_000,
      silentUpMs: 7000,
      silentDownMs: 9000,
      webSocket: { up: frameCounts({ text: 1920 }), down: frameCounts(), close: undefined },
    },
  })
  gateway.open({
    id: 'b4d7c0aa-1234-4c11-9d3c-1d9b6f1c0002',
    endpoint: 1,
    protocol: 'tcp',
    client: '',
  })
  gateway.open({ id: 'c0000000-1234-4c11-9d3c-1d9b6f1c0003', user: 'e\x1bvil', isEnding: true })
}

describe('upgate tunnels', () => {
  it('prints a table that people can read, with totals', async () => {
    await using s = await scene()
    openThree(s.admin)
    const { code, out } = await s.upgate('tunnels')
    assert.equal(code, 0)
    const [title = '', first = '', second = '', third = '', totals = ''] = out.split('\n')
    assert.match(
      title,
      /^ID +AGE +IDLE +CLIENT +USER +ROUTE +ENDPOINT +UP +DOWN +UP\/s +DOWN\/s +MSG\/s +PROTOCOL +PATH$/,
    )
    assert.match(
      first,
      /^3f2a9c1e-77b0 +3m12s +7s +192\.0\.2\.7 +ann +chat +http:\/\/chat-1:3000 +94 KiB +1\.9 MiB +\d+ B\/s +10 KiB\/s +10 +websocket +\/chat$/,
    )
    assert.match(
      second,
      /^b4d7c0aa-1234 .* unix +- +chat +http:\/\/chat-2:3000 +0 B +0 B +- +- +tcp +\/chat$/,
    )
    assert.match(third, / e\\u001bvil .* \/chat \(ending\)$/)
    assert.match(totals, /^3 tunnels: up 94 KiB, \d+ B\/s; down 1\.9 MiB, 10 KiB\/s$/)
  })

  it('cuts lines to the width of the terminal', async () => {
    await using s = await scene()
    openThree(s.admin)
    s.terminal.size = { columns: 40, rows: 24 }
    const { out } = await s.upgate('tunnels')
    for (const line of out.split('\n')) assert.ok(line.length <= 40, line)
    assert.match(out, /…\n/)
  })

  it('says that none is open, or that none is meant', async () => {
    await using s = await scene()
    assert.equal((await s.upgate('tunnels')).out, 'no tunnel is open\n')
    openThree(s.admin)
    assert.equal((await s.upgate('tunnels --route nobody')).out, 'no tunnel of 3\n')
  })

  it('hands filters, order and limit on, and says what is not shown', async () => {
    await using s = await scene()
    openThree(s.admin)
    s.admin.gateway.open({ upstream: 'feed' })
    const { out } = await s.upgate('tunnels --route chat --sort bytes --limit 1')
    assert.match(out, /\n3f2a9c1e[^\n]*\n1 to 1 of 3 tunnels \(4 open\): [^\n]*\n$/)
  })

  it("prints the API's JSON", async () => {
    await using s = await scene()
    openThree(s.admin)
    const { out } = await s.upgate('tunnels --json --min-age 1m')
    const list = JSON.parse(out) as { tunnels: { id: string }[]; total: number }
    assert.equal(list.total, 1)
    assert.match(list.tunnels[0]?.id ?? '', /^3f2a/)
  })

  it('shows one by the beginning of its id', async () => {
    await using s = await scene()
    openThree(s.admin)
    assert.match(
      (await s.upgate('tunnels b4d7c0aa-1234')).out,
      /\nb4d7c0aa-1234 [^\n]*\n1 tunnel: /,
    )
    const { out } = await s.upgate('tunnels b4d7c0aa-1234 --json')
    assert.equal((JSON.parse(out) as { protocol: string }).protocol, 'tcp')
    const none = await s.upgate('tunnels 00000000-0000')
    assert.deepEqual([none.code, none.err], [1, 'upgate: No tunnel with this id is open.\n'])
    assert.equal((await s.upgate('tunnels b4d7c0aa-1234 --route chat')).code, 2)
  })

  it('tells what is wrong in the words of the command line', async () => {
    await using s = await scene()
    const { code, err } = await s.upgate('tunnels --sort size --min-idle 5')
    assert.equal(code, 2)
    assert.equal(
      err,
      'upgate: not understood:\n  --min-idle: expected a duration such as 500ms, 5s, 10m, 1h30m or 7d; write 5s\n  --sort: expected age, bytes, idle or rate\n',
    )
    assert.match(
      (await s.upgate('tunnels --limit 0')).err,
      /^upgate: --limit: expected a whole number/,
    )
  })
})

describe('upgate tunnels --watch', () => {
  it('draws anew until Ctrl-C, on a screen of its own', async () => {
    await using s = await scene()
    s.terminal.size = { columns: 120, rows: 7 }
    for (let count = 0; count < 10; count += 1) s.admin.gateway.open()
    let waits = 0
    s.terminal.onWait = () => (waits += 1) < 3
    const { code, out } = await s.upgate('tunnels --watch')
    assert.equal(code, 0)
    const screens = out.split('\x1b[H\x1b[2J\x1b[3J')
    assert.equal(screens.length, 3)
    for (const screen of screens.slice(1)) {
      assert.match(
        screen,
        /^http:\/\/127\.0\.0\.1:\d+ {2}\d\d:\d\d:\d\d {2}every 2s, Ctrl-C ends\n/,
      )
      assert.ok(screen.split('\n').length <= 7, screen)
      assert.match(screen, /\n1 to 2 of 10 tunnels/)
    }
  })

  it('prints one table after the other where there is no screen', async () => {
    await using s = await scene()
    let waits = 0
    s.terminal.onWait = () => (waits += 1) < 2
    const { out } = await s.upgate('tunnels --watch')
    assert.equal(out, 'no tunnel is open\nno tunnel is open\n')
  })

  it('waits for a gateway that goes away while it watches', async () => {
    const s = await scene()
    let waits = 0
    s.terminal.onWait = async () => {
      waits += 1
      if (waits === 1) await s[Symbol.asyncDispose]()
      return waits < 3
    }
    const { code, out } = await s.upgate('tunnels --watch')
    assert.equal(code, 0)
    assert.equal(out.match(/no gateway can be asked at/g)?.length, 2)
  })
})

describe('upgate close', () => {
  it('closes one by the beginning of its id, without a question', async () => {
    await using s = await scene()
    openThree(s.admin)
    const words = ['close', '3f2a9c1e-77b0', '--code', '4001', '--reason', 'bye now']
    const { code, out } = await run(words, s.terminal)
    assert.deepEqual([code, out], [0, 'closing 1 tunnel\n'])
    assert.deepEqual(
      s.admin.gateway.told.map(({ frame }) => frame),
      [{ code: 4001, text: 'bye now' }],
    )
  })

  it('asks before it closes several', async () => {
    await using s = await scene()
    openThree(s.admin)
    s.terminal.answer = false
    const refused = await s.upgate('close --route chat')
    assert.deepEqual([refused.code, refused.err], [1, 'upgate: nothing was closed\n'])
    assert.deepEqual(s.admin.gateway.told, [])
    s.terminal.answer = true
    const { code, out } = await s.upgate('close --all')
    assert.deepEqual([code, out], [0, 'closing 2 tunnels; 1 tunnel ended already\n'])
    assert.deepEqual(s.terminal.questions, [
      'Close 3 tunnels (route=chat)? [y/N] ',
      'Close 3 tunnels, all there are? [y/N] ',
    ])
    assert.deepEqual(
      s.admin.gateway.told.map(({ frame }) => frame),
      [CLOSE_FRAMES.kill, CLOSE_FRAMES.kill],
    )
  })

  it('does not ask for a single one, and not with --yes', async () => {
    await using s = await scene()
    openThree(s.admin)
    s.terminal.answer = false
    assert.equal((await s.upgate('close --user ann')).code, 0)
    assert.equal((await s.upgate('close --route chat --yes')).code, 0)
    assert.deepEqual(s.terminal.questions, [])
    assert.equal(s.admin.gateway.told.length, 2)
  })

  it('wants --yes for filters where nobody can be asked', async () => {
    await using s = await scene()
    openThree(s.admin)
    const { code, err } = await s.upgate('close --user ann')
    assert.equal(code, 2)
    assert.match(err, /add --yes/)
    assert.deepEqual(s.admin.gateway.told, [])
  })

  it('takes its time', async () => {
    await using s = await scene()
    for (let count = 0; count < 5; count += 1) s.admin.gateway.open()
    const { out } = await s.upgate('close --all --yes --over 10m')
    assert.equal(out, 'closing 5 tunnels over 10m00s\n')
    assert.equal(s.admin.gateway.told.length, 1)
  })

  it('exits with 1 when no tunnel is meant', async () => {
    await using s = await scene()
    openThree(s.admin)
    s.terminal.answer = true
    assert.equal((await s.upgate('close --route nobody')).code, 1)
    assert.equal((await s.upgate('close --route nobody --yes')).code, 1)
    assert.equal((await s.upgate('close 00000000-0000')).code, 1)
  })

  for (const line of [
    'close',
    'close abcdefgh --all',
    'close --all --route a',
    'close --all --yes --code 1005',
  ]) {
    it(`exits with 2 for "${line}"`, async () => {
      await using s = await scene()
      openThree(s.admin)
      assert.equal((await s.upgate(line)).code, 2)
      assert.deepEqual(s.admin.gateway.told, [])
    })
  }

  it("prints the API's JSON", async () => {
    await using s = await scene()
    openThree(s.admin)
    const { out } = await s.upgate('close --all --yes --json')
    assert.deepEqual(JSON.parse(out), { matched: 3, closing: 2, alreadyEnding: 1, overSeconds: 0 })
  })
})

describe('upgate drain and upgate enable', () => {
  it('take an endpoint out and back in, by its URL with or without its scheme', async () => {
    await using s = await scene()
    openThree(s.admin)
    const drained = await s.upgate('drain chat http://chat-1:3000')
    assert.deepEqual(
      [drained.code, drained.out],
      [0, 'chat http://chat-1:3000 gets no new tunnels; 2 tunnels may end by themselves\n'],
    )
    assert.match((await s.upgate('upstreams')).out, /\nchat +http:\/\/chat-1:3000 +draining +2 /)
    const enabled = await s.upgate('enable chat chat-1:3000')
    assert.equal(enabled.out, 'chat http://chat-1:3000 gets new tunnels; it has 2 tunnels\n')
    assert.match((await s.upgate('upstreams')).out, /\nchat +http:\/\/chat-1:3000 +up +2 /)
    assert.deepEqual(s.admin.gateway.told, [])
  })

  it('close its tunnels where that is asked for, by its id as well', async () => {
    await using s = await scene()
    openThree(s.admin)
    const { id } = s.admin.gateway.pools().get('chat')?.endpoints[0] ?? { id: '' }
    const { out, err } = await s.upgate(`drain chat ${id} --close`)
    assert.equal(err, '')
    assert.equal(out, 'chat http://chat-1:3000 gets no new tunnels; closing 1 tunnel\n')
    assert.deepEqual(
      s.admin.gateway.told.map(({ reason }) => reason),
      ['drain'],
    )
  })

  it('take their time where that is asked for', async () => {
    await using s = await scene()
    for (let count = 0; count < 3; count += 1) s.admin.gateway.open()
    const { out } = await s.upgate('drain chat chat-1:3000 --close --over 1h')
    assert.match(out, /closing 3 tunnels over 1h00m\n$/)
    assert.match((await s.upgate('upstreams')).out, /chat-1:3000 +closing +3 /)
    const { code, err } = await s.upgate('drain chat chat-1:3000 --over 1h')
    assert.deepEqual([code, /add --close/.test(err)], [2, true])
  })

  it('tell what there is when nothing is meant', async () => {
    await using s = await scene()
    const upstream = await s.upgate('drain chta x')
    assert.deepEqual(
      [upstream.code, upstream.err],
      [1, 'upgate: there is no upstream chta, did you mean chat?\n'],
    )
    assert.match((await s.upgate('drain nobody x')).err, /there are chat, feed/)
    const endpoint = await s.upgate('enable chat chat-3:3000')
    assert.equal(endpoint.code, 1)
    assert.match(endpoint.err, /it has http:\/\/chat-1:3000, http:\/\/chat-2:3000/)
  })

  it("print the API's JSON", async () => {
    await using s = await scene()
    for (const verb of ['drain', 'enable']) {
      const { out } = await s.upgate(`${verb} chat chat-1:3000 --json`)
      assert.equal((JSON.parse(out) as { upstream: string }).upstream, 'chat')
    }
  })
})

describe('upgate upstreams', () => {
  it('prints endpoints and totals', async () => {
    await using s = await scene()
    openThree(s.admin)
    const { out } = await s.upgate('upstreams')
    const lines = out.split('\n')
    assert.match(
      lines[0] ?? '',
      /^UPSTREAM +ENDPOINT +STATE +TUNNELS +IN USE +WEIGHT +BALANCE +ID$/,
    )
    assert.match(
      lines[2] ?? '',
      /^chat +http:\/\/chat-2:3000 +up +1 +0 +2 +least-tunnels +[0-9a-f]+$/,
    )
    assert.equal(lines[5], '4 endpoints, 3 tunnels')
    const { out: json } = await s.upgate('upstreams --json')
    assert.equal((JSON.parse(json) as { upstreams: unknown[] }).upstreams.length, 2)
  })
})

describe('upgate rebalance', () => {
  it('starts a job, tells how it goes, and stops it', async () => {
    await using s = await scene()
    const started = await s.upgate('rebalance chat --rate 7/s --spread 25%')
    assert.equal(started.code, 0)
    assert.match(
      started.out,
      /^rebalancing chat: closes at most 7 tunnels a second, until no endpoint is more than 25% above its share\n/,
    )
    assert.match(
      (await s.upgate('rebalance chat --status')).out,
      /^chat: running; 0 tunnels closed since /,
    )
    assert.match((await s.upgate('rebalance chat --stop')).out, /^chat: stopped; /)
    assert.equal((await s.upgate('rebalance chat --stop')).code, 1)
    const { out } = await s.upgate('rebalance chat --json')
    assert.equal((JSON.parse(out) as { rate: number }).rate, 5)
  })

  it('exits with 1 where it cannot be done, and with 2 where it is asked for wrongly', async () => {
    await using s = await scene()
    assert.equal((await s.upgate('rebalance feed')).code, 1)
    assert.equal((await s.upgate('rebalance nobody')).code, 1)
    assert.equal((await s.upgate('rebalance chat --rate 0/s')).code, 2)
    assert.equal((await s.upgate('rebalance chat --status --stop')).code, 2)
    assert.equal((await s.upgate('rebalance chat --stop --rate 5')).code, 2)
  })
})

describe('upgate reload', () => {
  const nothing: ReloadResult = {
    ok: true,
    dryRun: false,
    changes: [],
    needsRestart: [],
    problems: [],
    closing: 0,
    closingByRoute: {},
    kept: 0,
  }

  it('tells what has changed, and what becomes of tunnels', async () => {
    await using s = await scene()
    s.admin.gateway.reload = async () => ({
      ...nothing,
      changes: ['route chat: timeouts.idle', 'route feed: removed'],
      needsRestart: ['relay.engine'],
      closing: 3,
      closingByRoute: { feed: 3 },
      kept: 1,
    })
    const { code, out } = await s.upgate('reload')
    assert.equal(code, 0)
    const { file } = s.admin.gateway.config()
    assert.equal(
      out,
      `${file} is in use; 2 things changed
  route chat: timeouts.idle
  route feed: removed
  takes effect at the next start alone: relay.engine
  closes 3 tunnels (feed 3)
  keeps 1 tunnel that it has no place for
`,
    )
  })

  it('only says what would change', async () => {
    await using s = await scene()
    s.admin.gateway.reload = async ({ dryRun }) => ({
      ...nothing,
      dryRun,
      changes: ['route feed: removed'],
      closing: 1,
      closingByRoute: { feed: 1 },
    })
    const { file } = s.admin.gateway.config()
    assert.equal(
      (await s.upgate('reload --dry-run')).out,
      `a reload of ${file} would change 1 thing\n  route feed: removed\n  would close 1 tunnel (feed 1)\n`,
    )
    s.admin.gateway.reload = async ({ dryRun }) => ({ ...nothing, dryRun })
    assert.equal(
      (await s.upgate('reload --dry-run')).out,
      `a reload of ${file} would change nothing\n`,
    )
  })

  it('tells why the file is not taken, and exits with 1', async () => {
    await using s = await scene()
    const problems = ['upgate.yaml:1:1: routes: wrong\n  1 | x\n    | ^']
    s.admin.gateway.reload = async () => ({ ...nothing, ok: false, problems })
    const { code, err } = await s.upgate('reload')
    assert.equal(code, 1)
    assert.match(
      err,
      /stays in use\.\n {2}upgate\.yaml:1:1: routes: wrong\n {4}1 \| x\n {6}\| \^\n$/,
    )
  })

  it("prints the API's JSON", async () => {
    await using s = await scene()
    s.admin.gateway.reload = async () => nothing
    assert.equal((JSON.parse((await s.upgate('reload --json')).out) as { ok: boolean }).ok, true)
  })
})
