/**
 * A file that is parsed at start and again whenever it changes. A content that does not parse never replaces one that
 * did, and one that is still being written is left alone until two looks find the same. The path is looked up anew each
 * time, so that renames by editors and Kubernetes' swapped symlinks are seen.
 */

import { stat } from 'node:fs/promises'
import { readRegularFileAsync } from '../config/read-file.ts'
import { messageOf } from './error-message.ts'
import type { AuthLog } from './identity.ts'

export interface WatchedFileOptions<Value> {
  /** Absolute. */
  readonly path: string
  /** What the file is for, in logs and errors, e.g. `users of auth.staff`. */
  readonly what: string
  /** Throws an Error for a content that is wrong; its message must not repeat secrets. */
  readonly parse: (text: string) => Value
  readonly log: AuthLog
  /** How often the file is looked at; 1 s unless given. */
  readonly intervalMs?: number | undefined
}

const INTERVAL_MS = 1000

/** From the look that finds another content to the one that has to find the same: who writes a file in place empties it first. */
const SETTLE_MS = 100

/** Two writes within this time may leave the same times on a file: file systems count in ticks of some milliseconds. */
const TICK_MS = 1000

/** Reads the file and begins to watch it. Rejects with an Error that names the path when it cannot be read or parsed. */
export async function watchFile<Value>(
  options: WatchedFileOptions<Value>,
): Promise<WatchedFile<Value>> {
  const { path, what, parse } = options
  try {
    const content = await readContent(path)
    return new WatchedFile(options, parse(content.text), content)
  } catch (error) {
    throw new Error(`${path} (${what}): ${messageOf(error)}`, { cause: error })
  }
}

/** Logs each reload: info for a good one, error for one that failed. */
export class WatchedFile<Value> {
  readonly #options: WatchedFileOptions<Value>
  #value: Value
  /** Undefined while the file cannot be read. */
  #content: Content | undefined
  /** The content that was last taken or refused; undefined where the file could not be read since. */
  #handled: string | undefined
  /** Another content, which one look has found. */
  #fresh: string | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false
  readonly #listeners = new Set<() => void>()

  /** Use `watchFile`. */
  constructor(options: WatchedFileOptions<Value>, value: Value, content: Content) {
    this.#options = options
    this.#value = value
    this.#content = content
    this.#handled = content.text
    this.#schedule()
  }

  /** What the last good content says. */
  get value(): Value {
    return this.#value
  }

  /** Calls `listener` after each good reload, until the returned function is called. */
  onReload(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Ends the watch; a reload that is under way is dropped. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    if (this.#closed) return
    const { intervalMs = INTERVAL_MS } = this.#options
    const delayMs = this.#fresh === undefined ? intervalMs : SETTLE_MS
    this.#timer = setTimeout(this.#look, delayMs).unref()
  }

  readonly #look = (): void => {
    void this.#reloadIfChanged().then(() => this.#schedule())
  }

  async #reloadIfChanged(): Promise<void> {
    const known = this.#content
    const content = await readIfChanged(this.#options.path, known).catch(messageOf)
    if (this.#closed) return
    if (typeof content === 'string') {
      // Once, not at each look.
      if (known !== undefined) this.#logFailure(content)
      this.#content = undefined
      this.#handled = undefined
      this.#fresh = undefined
      return
    }
    this.#content = content
    if (this.#isSettled(content.text)) this.#apply(content.text)
  }

  /** Whether it is another content than the last one, and no half-written one. */
  #isSettled(text: string): boolean {
    const isAgain = text === this.#fresh
    this.#fresh = isAgain || text === this.#handled ? undefined : text
    if (isAgain) this.#handled = text
    return isAgain
  }

  #apply(text: string): void {
    const { path, what, parse, log } = this.#options
    try {
      this.#value = parse(text)
    } catch (error) {
      this.#logFailure(messageOf(error))
      return
    }
    log.info({ file: path, what }, 'file reloaded')
    for (const listener of this.#listeners) listener()
  }

  #logFailure(cause: string): void {
    const { path, what, log } = this.#options
    log.error({ file: path, what, cause }, 'file not reloaded, the old content stays in use')
  }
}

interface Look {
  /** The same for the same file with the same times and size. */
  readonly version: string
  /** It was changed so lately that another change could leave the same version. */
  readonly young: boolean
}

export interface Content extends Look {
  readonly text: string
}

async function lookAt(path: string): Promise<Look> {
  const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = await stat(path, { bigint: true })
  return {
    version: `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`,
    young: Date.now() - Number(ctimeMs) < TICK_MS,
  }
}

/** Looks before it reads: a change in between makes another version, and is seen at the next look. */
export async function readContent(path: string): Promise<Content> {
  const look = await lookAt(path)
  return { ...look, text: (await readRegularFileAsync(path)).toString() }
}

/** `known` itself when the file is surely the same. */
export async function readIfChanged(path: string, known: Content | undefined): Promise<Content> {
  const { version, young } = await lookAt(path)
  if (known?.version === version && !known.young && !young) return known
  return readContent(path)
}
