/**
 * The logger: JSON lines for machines, or `pretty` ones for people, on standard output. Nothing is redacted here, because
 * nothing is logged whole: whoever reports names each field, and no header, query or token is among them.
 */

import { pino } from 'pino'
import { isColorSupported, prettyFactory } from 'pino-pretty'
import { cutTo, visibleJson } from '../base/visible.ts'
import type { LogConfig } from '../config/config.ts'

/** Bytes of log that may wait for a slow reader; lines beyond them are dropped and counted. */
const WAITING_BYTES_MAX = 8 * 1024 * 1024

/** Lines are written when so many bytes of them wait, or the first of them has waited so long. */
const BATCH_BYTES = 8192
const BATCH_WAIT_MS = 100

/** How long `flush` waits for a reader that does not read. */
const FLUSH_WAIT_MS = 2000

type Write = (fields: object, message: string) => void

/** What the parts of the gateway see of it: each line is named fields and a fixed message. */
export interface Logger {
  /** Lines below it are not written; see `LogConfig`. */
  level: string
  readonly trace: Write
  readonly debug: Write
  readonly info: Write
  readonly warn: Write
  readonly error: Write
  /** Fulfilled when every line so far is written, or after 2 s if nobody reads them. It never rejects. */
  flush(): Promise<void>
}

/** Takes whole lines, each with its newline. */
export interface LineStream {
  write(line: string): unknown
}

/** `destination` takes the place of standard output. */
export function createLogger(config: LogConfig, destination?: LineStream): Logger {
  if (destination !== undefined) {
    return Object.assign(build(config, destination, false), { flush: () => Promise.resolve() })
  }
  const output = openStandardOutput()
  // In its mode for buffers the library takes them, though its types name strings alone.
  const write = (line: string): boolean => output.write(Buffer.from(line) as unknown as string)
  const log = build(config, { write }, isColorSupported)
  let dropped = 0
  output.on('drop', () => {
    dropped += 1
  })
  output.on('drain', () => {
    if (dropped === 0) return
    const lines = dropped
    dropped = 0
    log.warn({ lines }, 'log lines dropped')
  })
  return Object.assign(log, { flush: () => emptied(output) })
}

function build(config: LogConfig, lines: LineStream, colorize: boolean): Omit<Logger, 'flush'> {
  return pino(
    {
      level: config.level,
      // No pid and no hostname: whoever collects the lines knows where they come from.
      base: null,
      timestamp: isoTime,
      formatters: { level: (label) => ({ level: label }), log: withCutValues },
    },
    config.format === 'json' ? visibleInto(lines) : prettyInto(visibleInto(lines), colorize),
  )
}

/** The longest value in a line, as it is written there. Whoever sends 16 KiB of path shall not fill the disk with it. */
const VALUE_BYTES_MAX = 2048

/** A value as lines have it. */
export function cutValue(value: string): string {
  return cutTo(value, VALUE_BYTES_MAX)
}

/** All values but the problems of a config, which nobody has sent. */
function withCutValues(fields: Record<string, unknown>): Record<string, unknown> {
  let cut: Record<string, unknown> | undefined
  for (const name in fields) {
    const value = fields[name]
    if (typeof value !== 'string' || name === 'problems') continue
    const short = cutValue(value)
    if (short === value) continue
    cut ??= { ...fields }
    cut[name] = short
  }
  return cut ?? fields
}

/** Terminals and viewers of logs obey characters that JSON leaves as they are. */
function visibleInto(lines: LineStream): LineStream {
  return { write: (line) => lines.write(visibleJson(line)) }
}

/** In this thread, so that no line is lost in another one at exit. */
function prettyInto(lines: LineStream, colorize: boolean): LineStream {
  const pretty = prettyFactory({ colorize, singleLine: true, translateTime: 'SYS:HH:MM:ss.l' })
  return { write: (line) => lines.write(pretty(line)) }
}

/**
 * Asynchronous, and many lines at a time: a write costs as much as the making of several lines, so they wait for 8 KiB
 * or a tenth of a second, whichever comes first. A reader that stalls stalls the log and no tunnel. What is left at
 * `process.exit` is written there.
 */
function openStandardOutput() {
  const output = pino.destination({
    dest: 1,
    sync: false,
    maxLength: WAITING_BYTES_MAX,
    minLength: BATCH_BYTES,
    // Lines become bytes one by one: a batch of them as one string, made of a thousand pieces, takes twice as long.
    contentMode: 'buffer',
    periodicFlush: BATCH_WAIT_MS,
  })
  output.on('error', () => {
    // A full disk is no reason to end tunnels: the log goes on when it can be written again. The flush that the library
    // does at exit would try for ever, though.
    output.flushSync = () => {}
  })
  return output
}

function emptied(output: ReturnType<typeof openStandardOutput>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, FLUSH_WAIT_MS)
    output.flush(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}

let secondMs = -1
let secondText = ''

/** RFC 3339 with milliseconds. The text of the running second is kept: 0.06 µs a line against 0.4 µs, and 0.04 µs for a number. */
function isoTime(): string {
  const now = Date.now()
  const milliseconds = now % 1000
  if (now - milliseconds !== secondMs) {
    secondMs = now - milliseconds
    secondText = `,"time":"${new Date(secondMs).toISOString().slice(0, -4)}`
  }
  return `${secondText}${String(milliseconds).padStart(3, '0')}Z"`
}
