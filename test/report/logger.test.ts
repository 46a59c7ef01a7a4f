import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { createLogger } from '../../src/report/logger.ts'

const loggerUrl = new URL('../../src/report/logger.ts', import.meta.url).href

function collect(): { lines: string[]; write(line: string): void } {
  const lines: string[] = []
  return { lines, write: (line) => lines.push(line) }
}

/** Runs a script with a logger `log` on standard output. */
function run(script: string) {
  const source = `
    import { createLogger } from ${JSON.stringify(loggerUrl)}
    const log = createLogger({ level: 'info', format: process.env.FORMAT ?? 'json' })
    ${script}`
  return spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NO_COLOR: '1' },
  })
}

describe('createLogger', () => {
  it('writes one JSON object a line, with level, time, fields and message', () => {
    const output = collect()
    const before = Date.now()
    createLogger({ level: 'info', format: 'json' }, output).warn(
      { route: 'chat', status: 502 },
      'request',
    )
    assert.equal(output.lines.length, 1)
    const line = output.lines[0] ?? ''
    assert.equal(line.at(-1), '\n')
    const { time, ...rest } = JSON.parse(line) as Record<string, unknown>
    assert.deepEqual(rest, { level: 'warn', route: 'chat', status: 502, msg: 'request' })
    assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    const at = Date.parse(String(time))
    assert.ok(at >= before && at <= Date.now(), String(time))
  })

  it('tells the right time across the borders of seconds', (t) => {
    const output = collect()
    const log = createLogger({ level: 'info', format: 'json' }, output)
    const times = [
      '2026-02-28T23:59:59.999Z',
      '2026-03-01T00:00:00.000Z',
      '2026-03-01T00:00:00.007Z',
    ]
    t.mock.timers.enable({ apis: ['Date'], now: 0 })
    for (const time of times) {
      t.mock.timers.setTime(Date.parse(time))
      log.info({}, 'tick')
    }
    assert.deepEqual(
      output.lines.map((line) => (JSON.parse(line) as { time: string }).time),
      times,
    )
  })

  it('leaves out what is below its level, and everything when silent', () => {
    const output = collect()
    const warn = createLogger({ level: 'warn', format: 'json' }, output)
    warn.trace({}, 'trace')
    warn.debug({}, 'debug')
    warn.info({}, 'info')
    warn.error({}, 'error')
    createLogger({ level: 'silent', format: 'json' }, output).error({}, 'silent')
    assert.deepEqual(
      output.lines.map((line) => (JSON.parse(line) as { msg: string }).msg),
      ['error'],
    )
  })

  for (const format of ['json', 'pretty'] as const) {
    it(`keeps a hostile value on its line in ${format}`, () => {
      const output = collect()
      const log = createLogger({ level: 'info', format }, output)
      log.info({ user: 'a\nb\r\u001b[31m"\\', path: `/${'x'.repeat(200)}\n` }, 'request')
      assert.equal(output.lines.length, 1)
      const line = output.lines[0] ?? ''
      assert.equal(line.indexOf('\n'), line.length - 1)
      assert.ok(!line.includes('\r'))
      assert.ok(!line.includes('\u001b'))
    })
  }

  for (const format of ['json', 'pretty'] as const) {
    it(`writes what viewers obey as escapes in ${format}`, () => {
      const output = collect()
      const value = 'a\x7f\x85\x9b31m\u061c\u200e\u2028\u202e\u2066z'
      createLogger({ level: 'info', format }, output).info({ user: value }, 'request')
      const line = output.lines[0] ?? ''
      assert.doesNotMatch(line, /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/)
      const json = line.slice(line.indexOf('{'))
      assert.equal((JSON.parse(json) as { user: string }).user, value)
      assert.ok(line.includes('\\u009b31m\\u061c\\u200e'))
    })

    it(`bounds each value by what is written of it in ${format}`, () => {
      const output = collect()
      const log = createLogger({ level: 'info', format }, output)
      for (const part of ['"', '\x01', '\x9b', '\u202e', 'x', '日']) {
        log.info({ host: part.repeat(20_000), status: 400, cause: part.repeat(20_000) }, 'request')
      }
      assert.equal(output.lines.length, 6)
      for (const line of output.lines) {
        assert.ok(Buffer.byteLength(line) < 2 * 2048 + 200, `${Buffer.byteLength(line)} bytes`)
        const fields = JSON.parse(line.slice(line.indexOf('{'))) as Record<string, unknown>
        assert.match(String(fields['host']), /\.\.\.$/)
        assert.equal(fields['status'], 400)
      }
    })

    it(`writes the problems of a config whole in ${format}`, () => {
      const output = collect()
      const problems = 'x\n'.repeat(5000)
      createLogger({ level: 'info', format }, output).error({ problems }, 'config not reloaded')
      assert.ok((output.lines[0] ?? '').length > 10_000)
    })
  }

  it('leaves out fields that are undefined', () => {
    const output = collect()
    createLogger({ level: 'info', format: 'json' }, output).info(
      { user: undefined, host: 'a' },
      'request',
    )
    assert.deepEqual(Object.keys(JSON.parse(output.lines[0] ?? '') as object), [
      'level',
      'time',
      'host',
      'msg',
    ])
  })

  it('writes a pretty line with its level, message and fields', async () => {
    const output = collect()
    const log = createLogger({ level: 'info', format: 'pretty' }, output)
    log.error({ route: 'chat' }, 'tunnel close')
    await log.flush()
    assert.match(
      output.lines.join(''),
      /^\[\d\d:\d\d:\d\d\.\d{3}\] ERROR: tunnel close \{"route":"chat"\}\n$/,
    )
  })

  for (const format of ['json', 'pretty']) {
    it(`loses no line when the process exits after a flush (${format})`, async () => {
      const child = run(
        `
        for (let number = 0; number < 5000; number++) log.info({ number }, 'line')
        await log.flush()
        process.exit(0)`.replaceAll('FORMAT', format),
      )
      child.stdin.end()
      const lines = (await text(child.stdout)).trimEnd().split('\n')
      assert.equal(lines.length, 5000)
      assert.match(lines[4999] ?? '', /4999/)
    })
  }

  it('loses no line when the process exits by an error', async () => {
    const child = run(`
      process.on('uncaughtException', (error) => {
        log.error({ cause: error.message }, 'crash')
        process.exit(1)
      })
      log.info({}, 'first')
      throw new Error('deliberate')`)
    child.stdin.end()
    const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
    assert.equal(code, 1)
    assert.deepEqual(
      output
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { msg: string }).msg),
      ['first', 'crash'],
    )
  })

  it('bounds what waits for a slow reader, and tells how many lines were dropped', async () => {
    const count = 12_000
    const child = run(`
      const pad = 'x'.repeat(1000)
      for (let number = 0; number < ${count}; number++) log.info({ number, pad }, 'line')
      await log.flush()
      await log.flush()`)
    child.stdin.end()
    const lines = (await text(child.stdout)).trimEnd().split('\n')
    const parsed = lines.map((line) => JSON.parse(line) as { msg: string; lines?: number })
    const dropped = parsed.filter(({ msg }) => msg === 'log lines dropped')
    const lost = dropped.reduce((sum, line) => sum + (line.lines ?? 0), 0)
    assert.ok(lost > 0)
    assert.equal(parsed.length - dropped.length + lost, count)
  })

  it('goes on when the reader has closed the pipe, and a flush still ends', async () => {
    const child = run(`
      process.stdin.resume()
      process.stdin.on('end', async () => {
        log.info({}, 'nobody reads this')
        await log.flush()
        log.info({}, 'nor this')
        await log.flush()
        process.exitCode = 7
      })`)
    child.stdout.destroy()
    await once(child.stdout, 'close')
    child.stdin.end()
    const [code] = (await once(child, 'exit')) as [number]
    assert.equal(code, 7)
  })

  it(
    'goes on when the log cannot be written at all',
    { skip: process.platform !== 'linux' },
    async () => {
      const source = `
      import { createLogger } from ${JSON.stringify(loggerUrl)}
      const log = createLogger({ level: 'info', format: 'json' })
      for (let round = 0; round < 3; round++) { log.info({ round }, 'line'); await log.flush() }
      process.exit(7)`
      const child = spawn('/bin/sh', [
        '-c',
        'exec "$0" --input-type=module -e "$1" > /dev/full',
        process.execPath,
        source,
      ])
      const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
      assert.equal(errors, '')
      assert.equal(code, 7)
    },
  )
})
