/**
 * Tells when one of several files has another content. Their paths are looked up anew each time, so that renames by editors
 * and Kubernetes' swapped symlinks are seen. A file that is being written is left alone until two looks find the same.
 */

import { readContent, readIfChanged, type Content } from '../auth/watched-file.ts'

export interface FileWatchOptions {
  /** Called once for a change, however many of the files it is in. */
  readonly onChange: () => void
  /** How often the files are looked at; 1 s unless given. */
  readonly intervalMs?: number | undefined
}

const INTERVAL_MS = 1000

/** A file that cannot be read has no content; that is a content of its own. */
type Seen = ReadonlyMap<string, Content | undefined>

export class FileWatch {
  readonly #options: FileWatchOptions
  #paths: readonly string[] = []
  /** What was told last. */
  #told: Seen = new Map()
  #seen: Seen = new Map()
  #lastLook: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(options: FileWatchOptions) {
    this.#options = options
  }

  /** From now on it looks at these files (absolute paths), and at once: what is in those that are new to it is nothing new. */
  follow(paths: readonly string[]): Promise<void> {
    this.#paths = paths
    return this.look()
  }

  /** It does so by itself at each interval. Fulfilled when it has. */
  look(): Promise<void> {
    this.#lastLook = this.#lastLook.then(() => this.#compare())
    return this.#lastLook
  }

  /** Ends the watch. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    if (this.#isClosed) return
    this.#timer = setTimeout(
      () => void this.look(),
      this.#options.intervalMs ?? INTERVAL_MS,
    ).unref()
  }

  async #compare(): Promise<void> {
    if (this.#isClosed) return
    const before = this.#seen
    const seen = await readAll(this.#paths, before)
    this.#schedule()
    if (this.#isClosed) return
    this.#seen = seen
    const known = withNew(this.#told, seen)
    this.#told = known
    if (isSame(seen, known) || !isSame(seen, before)) return
    this.#told = seen
    this.#options.onChange()
  }
}

/** `told`, with the files that were not looked at before. */
function withNew(told: Seen, seen: Seen): Seen {
  return new Map(
    [...seen].map(([path, content]) => [path, told.has(path) ? told.get(path) : content]),
  )
}

async function readAll(paths: readonly string[], known: Seen): Promise<Seen> {
  const seen = new Map<string, Content | undefined>()
  for (const path of paths) {
    const before = known.get(path)
    const reading = before === undefined ? readContent(path) : readIfChanged(path, before)
    seen.set(path, await reading.catch(() => undefined))
  }
  return seen
}

function isSame(some: Seen, others: Seen): boolean {
  return [...some].every(([path, content]) => content?.text === others.get(path)?.text)
}
